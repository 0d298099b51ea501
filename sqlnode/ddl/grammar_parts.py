"""The parts that CREATE and ALTER share: names, columns, constraints, sequence options."""

from dataclasses import replace
from typing import Any, Final

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.catalog.descriptors import FkAction, Identity
from sqlnode.ddl.nodes import (
    CheckDef,
    ColumnDef,
    Constraint,
    ForeignKeyDef,
    KeyDef,
    Name,
    SequenceOptions,
)
from sqlnode.parse.dml import DmlParser
from sqlnode.parse.tokens import TokenKind
from sqlnode.parse.type_names import SERIAL_TYPES, resolve_type
from sqlnode.types import BY_NAME, SqlType

_CONSTRAINT_WORDS: Final = ("constraint", "primary", "unique", "check", "foreign", "exclude")


class PartsParser(DmlParser):
    """Adds the shared parts to the parser of queries."""

    table_name = ""  # of the table whose columns are defined, for messages

    def name(self) -> Name:
        """Take a possibly qualified name."""
        position = self.position
        parts = self.qualified_name()
        if len(parts) > 2:
            raise SqlSyntaxError(
                f"improper qualified name (too many dotted names): {'.'.join(parts)}",
                position=position,
            )
        return Name(parts[-1], parts[0] if len(parts) == 2 else None, position)

    def cascade(self) -> bool:
        """Take CASCADE or RESTRICT."""
        return self.accept_any("cascade", "restrict") == "cascade"

    def skip_parenthesized(self) -> None:
        """Take `( … )`, whatever is in it."""
        self.expect_symbol("(")
        depth = 1
        while depth:
            token = self.advance()
            if token.kind is TokenKind.END:
                raise self.error(token)
            if token.kind is TokenKind.PUNCTUATION:
                depth += {"(": 1, ")": -1}.get(str(token.value), 0)

    # Columns

    def column_definition(self) -> ColumnDef:
        """Take `name type constraints…`."""
        name = self.identifier()
        sql_type, serial = self._column_type()
        fields: dict[str, Any] = {}
        constraints: list[Constraint] = []
        if self.accept("collate"):
            self.qualified_name()
        while self._column_constraint(name, fields, constraints):
            pass
        return ColumnDef(
            name,
            sql_type,
            serial,
            fields.get("not_null", False),
            fields.get("default"),
            fields.get("identity", Identity.NONE),
            fields.get("identity_options", SequenceOptions()),
            tuple(constraints),
        )

    def _column_type(self) -> tuple[SqlType, bool]:
        if self.token.kind is TokenKind.WORD and self.token.value in SERIAL_TYPES:
            return BY_NAME[SERIAL_TYPES[str(self.advance().value)]], True
        return resolve_type(self.type_name()), False

    def _column_constraint(
        self, column: str, fields: dict[str, Any], constraints: list[Constraint]
    ) -> bool:
        name = self.identifier() if self.accept("constraint") else None
        if self.accept("not", "null"):
            self._set_null(fields, column, is_allowed=False)
        elif self.accept("null"):
            self._set_null(fields, column, is_allowed=True)
        elif self.accept("default"):
            if "default" in fields:
                raise SqlSyntaxError(
                    f'multiple default values specified for column "{column}" of table '
                    f'"{self.table_name}"',
                    position=self.tokens[self.at - 1].position,
                )
            mark = self.at
            self.restricted_expression()
            fields["default"] = self.text_since(mark)
        elif self.accept("generated"):
            self._generated(fields)
        elif (constraint := self._column_key(column, name)) is not None:
            constraints.append(self._with_attributes(constraint, of_column=True))
        elif name is not None or self.accept("not"):
            raise self.error()
        else:
            return False
        return True

    def _set_null(self, fields: dict[str, Any], column: str, *, is_allowed: bool) -> None:
        if fields.get("not_null", not is_allowed) == is_allowed:
            raise SqlSyntaxError(
                f'conflicting NULL/NOT NULL declarations for column "{column}" of table '
                f'"{self.table_name}"',
                position=self.tokens[self.at - 1].position,
            )
        fields["not_null"] = not is_allowed

    def _column_key(self, column: str, name: str | None) -> Constraint | None:
        if self.accept("primary", "key"):
            self._index_parameters()
            return KeyDef((column,), True, name)
        if self.accept("unique"):
            self._index_parameters()
            return KeyDef((column,), False, name)
        if self.accept("check"):
            return self._check(name)
        if self.accept("references"):
            return self._references((column,), name)
        return None

    def _generated(self, fields: dict[str, Any]) -> None:
        always = self.accept("always")
        if not always:
            self.expect("by", "default")
        self.expect("as")
        if not self.accept("identity"):
            raise self.unsupported("a generated column")
        fields["identity"] = Identity.ALWAYS if always else Identity.BY_DEFAULT
        fields["not_null"] = True
        if self.accept_symbol("("):
            fields["identity_options"] = self.sequence_options()
            self.expect_symbol(")")

    # Constraints

    def table_constraint(self) -> Constraint | None:
        """Take a table constraint; None if what comes next is no constraint."""
        if not self.peek_any(*_CONSTRAINT_WORDS):
            return None
        name = self.identifier() if self.accept("constraint") else None
        return self._with_attributes(self._table_constraint_body(name))

    def _table_constraint_body(self, name: str | None) -> Constraint:
        if self.accept("check"):
            return self._check(name)
        if self.accept("foreign", "key"):
            columns = self.identifier_list()
            self.expect("references")
            return self._references(columns, name)
        if self.accept("exclude"):
            raise self.unsupported("an exclusion constraint")
        primary = self.accept("primary", "key")
        if not primary:
            self.expect("unique")
        if self.accept("using", "index"):
            raise self.unsupported("USING INDEX of a constraint")
        if self.peek("nulls"):
            raise self.unsupported("NULLS [NOT] DISTINCT")
        columns = self.identifier_list()
        self._index_parameters()
        return KeyDef(columns, primary, name)

    def _check(self, name: str | None) -> CheckDef:
        self.expect_symbol("(")
        sql = self.expression_text()
        self.expect_symbol(")")
        if self.accept("no", "inherit"):
            raise self.unsupported("NO INHERIT")
        return CheckDef(sql, name)

    def _references(self, columns: tuple[str, ...], name: str | None) -> ForeignKeyDef:
        target = self.name()
        target_columns = self.identifier_list() if self.peek_symbol("(") else ()
        match_full = False
        actions = {"update": FkAction.NO_ACTION, "delete": FkAction.NO_ACTION}
        while True:
            if self.accept("match"):
                if self.accept("partial"):
                    raise self.unsupported("MATCH PARTIAL")
                match_full = self.expect_any("full", "simple") == "full"
            elif self.accept("on"):
                event = self.expect_any("update", "delete")
                actions[event] = self._action_word()
            else:
                break
        return ForeignKeyDef(
            columns,
            target,
            target_columns,
            actions["update"],
            actions["delete"],
            match_full,
            name,
        )

    def _action_word(self) -> FkAction:
        if self.accept("no", "action"):
            return FkAction.NO_ACTION
        if self.accept("set", "null"):
            return FkAction.SET_NULL
        if self.accept("set", "default"):
            return FkAction.SET_DEFAULT
        word = self.expect_any("restrict", "cascade")
        return FkAction.RESTRICT if word == "restrict" else FkAction.CASCADE

    def _index_parameters(self) -> None:
        if self.accept("include"):
            raise self.unsupported("INCLUDE columns of a constraint")
        if self.accept("with"):
            self.skip_parenthesized()
        if self.accept("using", "index", "tablespace"):
            self.identifier()

    def _with_attributes(self, constraint: Constraint, *, of_column: bool = False) -> Constraint:
        """Take [NOT] DEFERRABLE, INITIALLY DEFERRED | IMMEDIATE, and of tables NOT VALID."""
        deferrable, deferred, not_valid = None, False, False
        while True:
            position = self.position
            if self.accept("not", "deferrable"):
                deferrable = False
            elif self.accept("deferrable"):
                deferrable = True
            elif self.accept("initially"):
                deferred = self.expect_any("deferred", "immediate") == "deferred"
            elif not of_column and self.accept("not", "valid"):
                not_valid = True
            else:
                break
            if deferred and deferrable is False:
                raise SqlSyntaxError(
                    "constraint declared INITIALLY DEFERRED must be DEFERRABLE", position=position
                )
        if isinstance(constraint, ForeignKeyDef):
            can_wait = deferred or bool(deferrable)
            return replace(constraint, deferrable=can_wait, deferred=deferred, not_valid=not_valid)
        if deferred or deferrable:
            raise FeatureNotSupported(
                "a deferrable constraint is not supported, except foreign keys"
            )
        if isinstance(constraint, CheckDef):
            return replace(constraint, not_valid=not_valid)
        if not_valid:
            word = "PRIMARY KEY" if constraint.primary else "UNIQUE"
            raise FeatureNotSupported(f"{word} constraints cannot be marked NOT VALID")
        return constraint

    # Sequences

    def sequence_options(self) -> SequenceOptions:
        """Take the options of a sequence, in any order, to the end of the list."""
        fields: dict[str, Any] = {}
        while self._sequence_option(fields):
            pass
        return SequenceOptions(**fields)

    def _sequence_option(self, fields: dict[str, Any]) -> bool:
        if self.accept("as"):
            fields["type"] = resolve_type(self.type_name())
        elif self.accept("start"):
            self.accept("with")
            fields["start"] = self.integer()
        elif self.accept("restart"):
            self._restart(fields)
        elif self.accept("increment"):
            self.accept("by")
            fields["increment"] = self.integer()
        elif (bound := self.accept_any("minvalue", "maxvalue")) is not None:
            fields["min_value" if bound == "minvalue" else "max_value"] = self.integer()
        elif self.accept("no"):
            word = self.expect_any("minvalue", "maxvalue", "cycle")
            fields.update(
                {"minvalue": {"no_min": True}, "maxvalue": {"no_max": True}}.get(
                    word, {"cycle": False}
                )
            )
        elif self.accept("cycle"):
            fields["cycle"] = True
        elif self.accept("cache"):
            fields["cache"] = self.integer()
        elif self.accept("owned", "by"):
            self._owned_by(fields)
        else:
            return False
        return True

    def _restart(self, fields: dict[str, Any]) -> None:
        self.accept("with")
        if self.token.kind is TokenKind.INTEGER or self.peek_symbol("-", "+"):
            fields["restart"] = self.integer()
        else:
            fields["has_restart"] = True

    def _owned_by(self, fields: dict[str, Any]) -> None:
        if self.accept("none"):
            fields["owned_by_none"] = True
            return
        parts = self.qualified_name()
        if len(parts) < 2:
            raise SqlSyntaxError(
                "invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE."
            )
        schema = parts[-3] if len(parts) > 2 else None
        fields["owned_by"] = (Name(parts[-2], schema), parts[-1])
