"""ALTER statements from tokens; see grammar.py."""

from typing import Final

from pgwire.errors import FeatureNotSupported
from sqlnode.ddl.grammar_parts import PartsParser
from sqlnode.ddl.nodes import (
    Action,
    AddColumn,
    AddConstraint,
    AlterSequence,
    AlterTable,
    Ddl,
    DropColumn,
    DropConstraint,
    Name,
    Rename,
    SetDefault,
    SetNotNull,
    SetOwner,
    SetSchema,
    SetType,
    ValidateConstraint,
)
from sqlnode.parse.type_names import resolve_type

_ALTERABLE: Final = ("table", "view", "index", "sequence", "schema")
_REFUSED_ACTIONS: Final = [
    "enable",
    "disable",
    "force",
    "no",
    "cluster",
    "inherit",
    "of",
    "not",
    "replica",
    "attach",
    "detach",
    "reset",
]


class AlterParser(PartsParser):
    """ALTER TABLE, VIEW, INDEX, SEQUENCE, SCHEMA."""

    def alter(self) -> Ddl:
        """Take what follows the word ALTER."""
        if (kind := self.accept_any(*_ALTERABLE)) is None:
            raise FeatureNotSupported(
                f"ALTER {self.token.value.upper()} is not supported", position=self.position
            )
        if_exists = self.accept("if", "exists")
        self.accept("only")
        name = self.name()
        self.table_name = name.name
        if self.accept("rename"):
            return self._rename(kind, name, if_exists)
        if kind == "sequence" and not self.peek_any("owner", "set"):
            return AlterSequence(name, self.sequence_options(), if_exists)
        if kind != "table":
            raise self.unsupported(f"this form of ALTER {kind.upper()}")
        actions = [self._action()]
        while self.accept_symbol(","):
            actions.append(self._action())
        return AlterTable(name, tuple(actions), if_exists)

    def _rename(self, kind: str, name: Name, if_exists: bool) -> Rename:
        if self.accept("to"):
            return Rename(kind, name, self.identifier(), None, if_exists)
        if kind not in ("table", "view"):
            raise self.error()
        if self.accept("constraint"):
            part, what = self.identifier(), "constraint"
        else:
            self.accept("column")
            part, what = self.identifier(), "column"
        self.expect("to")
        return Rename(what, name, self.identifier(), part, if_exists)

    def _action(self) -> Action:
        if self.accept("add"):
            return self._add()
        if self.accept("drop"):
            return self._drop_part()
        if self.accept("alter"):
            self.accept("column")
            return self._alter_column(self.identifier())
        if self.accept("validate", "constraint"):
            return ValidateConstraint(self.identifier())
        if self.accept("owner", "to"):
            return SetOwner(self.identifier())
        if self.accept("set", "schema"):
            return SetSchema(self.identifier())
        if self.peek_any("set", *_REFUSED_ACTIONS):
            raise self.unsupported(f"ALTER TABLE ... {self.token.value.upper()}")
        raise self.error()

    def _add(self) -> Action:
        if (constraint := self.table_constraint()) is not None:
            return AddConstraint(constraint)
        self.accept("column")
        if_not_exists = self.accept("if", "not", "exists")
        return AddColumn(self.column_definition(), if_not_exists)

    def _drop_part(self) -> Action:
        if self.accept("constraint"):
            if_exists = self.accept("if", "exists")
            return DropConstraint(self.identifier(), if_exists, self.cascade())
        self.accept("column")
        if_exists = self.accept("if", "exists")
        return DropColumn(self.identifier(), if_exists, self.cascade())

    def _alter_column(self, name: str) -> Action:
        if self.accept("set", "default"):
            return SetDefault(name, self.expression_text())
        if self.accept("drop", "default"):
            return SetDefault(name, None)
        if self.accept("set", "not", "null"):
            return SetNotNull(name, not_null=True)
        if self.accept("drop", "not", "null"):
            return SetNotNull(name, not_null=False)
        if self.accept("type") or self.accept("set", "data", "type"):
            sql_type = resolve_type(self.type_name())
            if self.accept("collate"):
                self.qualified_name()
            using = self.expression_text() if self.accept("using") else None
            return SetType(name, sql_type, using)
        raise self.unsupported(f"ALTER COLUMN ... {self.token.value.upper()}")
