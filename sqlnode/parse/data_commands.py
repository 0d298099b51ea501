"""Grammar of COPY, EXPLAIN, PREPARE, EXECUTE and cursors: commands around a planned statement.

**Source.** gram.y `CopyStmt`, `ExplainStmt`, `PrepareStmt`, `DeclareCursorStmt`, `FetchStmt`;
copy.c ProcessCopyOptions.
"""

from typing import Any, Final

from pgwire.errors import FeatureNotSupported, InvalidParameterValue, SqlSyntaxError
from sqlnode.parse.query_syntax import Planned, Query, TableRef
from sqlnode.parse.tokens import TokenKind
from sqlnode.parse.type_names import resolve_type
from sqlnode.parse.utility import (
    CloseCursor,
    Copy,
    CopyOptions,
    Deallocate,
    DeclareCursor,
    Execute,
    Explain,
    FetchCursor,
    Prepare,
)
from sqlnode.parse.utility_parser import UtilityParser

_FORMATS: Final = ("text", "csv", "binary")
_TRUE: Final = ("", "true", "on", "1")
_FALSE: Final = ("false", "off", "0")
_EXPLAIN_OPTIONS: Final = frozenset(
    {"analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary", "format"}
    | {"generic_plan", "memory", "serialize"}
)


def _boolean(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise SqlSyntaxError(f"{name} requires a Boolean value")


class DataCommandParser(UtilityParser):
    """Adds COPY, EXPLAIN, PREPARE and cursors to the cursor."""

    # COPY

    def copy(self) -> Copy:
        """Take COPY after the word itself."""
        binary = self.accept("binary")
        table: TableRef | None = None
        columns: tuple[str, ...] = ()
        query: Planned | None = None
        if self.peek_symbol("("):
            query = self._copy_query()
            self.expect("to")
            is_from = False
        else:
            table = TableRef(self.qualified_name(), None, self.tokens[self.at - 1].position)
            columns = self.identifier_list() if self.peek_symbol("(") else ()
            is_from = self.expect_any("from", "to") == "from"
        self._copy_endpoint(is_from=is_from)
        values: dict[str, Any] = {"format": "binary"} if binary else {}
        self._copy_options(values)
        where = None
        if self.peek("where"):
            if not is_from:
                raise SqlSyntaxError(
                    "WHERE clause not allowed with COPY TO", position=self.position
                )
            self.advance()
            where = self.expression_text()
        options = CopyOptions(**values)
        _check_copy(options, is_from=is_from)
        return Copy(table, columns, query, is_from, options, where)

    def _copy_query(self) -> Planned:
        self.expect_symbol("(")
        query = self.planned_statement()
        self.expect_symbol(")")
        return query

    def _copy_endpoint(self, *, is_from: bool) -> None:
        if self.peek("program"):
            raise self.unsupported("COPY with PROGRAM")
        if self.token.kind is TokenKind.STRING:
            raise FeatureNotSupported(
                "COPY with a file on the server is not supported",
                hint="Use COPY FROM STDIN or TO STDOUT; psql's \\copy does it for you.",
                position=self.position,
            )
        word = self.expect_any("stdin", "stdout")
        if (word == "stdin") != is_from:
            return  # PostgreSQL takes either word for either direction

    def _copy_options(self, values: dict[str, Any]) -> None:
        if self.accept("using"):
            self.expect("delimiters")
        self.accept("with")
        if self.accept_symbol("("):
            self._copy_option(values)
            while self.accept_symbol(","):
                self._copy_option(values)
            self.expect_symbol(")")
            return
        while not self.at_end and not self.peek_symbol(";") and not self.peek("where"):
            self._old_copy_option(values)

    def _copy_option(self, values: dict[str, Any]) -> None:
        position = self.position
        name = self.label()
        if name in ("force_quote", "force_not_null", "force_null"):
            self._set_once(values, name, self._column_names(), position)
            return
        value = ""
        if not self.peek_symbol(",", ")"):
            value = self._option_value()
        self._take_option(values, name, value, position)

    def _option_value(self) -> str:
        if self.token.kind is TokenKind.STRING:
            return self.string()
        if self.token.kind in (TokenKind.INTEGER, TokenKind.NUMERIC):
            return self.advance().value
        return self.label()

    def _column_names(self) -> tuple[str, ...]:
        return ("*",) if self.accept_symbol("*") else self.identifier_list()

    def _take_option(self, values: dict[str, Any], name: str, value: str, position: int) -> None:
        done: Any = value
        if name == "format":
            if value not in _FORMATS:
                raise InvalidParameterValue(
                    f'COPY format "{value}" not recognized', position=position
                )
        elif name == "header":
            is_match = value.lower() == "match"
            done = "match" if is_match else "on" if _boolean(name, value) else "off"
        elif name == "freeze":
            done = _boolean(name, value)
        elif name not in ("delimiter", "null", "quote", "escape", "encoding"):
            raise SqlSyntaxError(f'option "{name}" not recognized', position=position)
        self._set_once(values, name, done, position)

    def _set_once(self, values: dict[str, Any], name: str, value: Any, position: int) -> None:
        if name in values:
            raise SqlSyntaxError("conflicting or redundant options", position=position)
        values[name] = value

    def _old_copy_option(self, values: dict[str, Any]) -> None:
        """Take one option in the syntax before 9.0: DELIMITER AS ',' NULL AS '' CSV HEADER."""
        position = self.position
        word = self.label()
        if word in ("csv", "binary"):
            self._set_once(values, "format", word, position)
        elif word == "header":
            self._set_once(values, "header", "on", position)
        elif word == "freeze":
            self._set_once(values, "freeze", True, position)
        elif word in ("delimiter", "null", "quote", "escape", "encoding"):
            self.accept("as")
            self._set_once(values, word, self.string(), position)
        elif word == "force":
            self._old_force(values, position)
        else:
            raise self.error(self.tokens[self.at - 1])

    def _old_force(self, values: dict[str, Any], position: int) -> None:
        if self.accept("quote"):
            name = "force_quote"
        elif self.accept("not", "null"):
            name = "force_not_null"
        else:
            self.expect("null")
            name = "force_null"
        if self.accept_symbol("*"):
            self._set_once(values, name, ("*",), position)
            return
        names = [self.identifier()]
        while self.accept_symbol(","):
            names.append(self.identifier())
        self._set_once(values, name, tuple(names), position)

    # EXPLAIN

    def explain(self) -> Explain:
        """Take EXPLAIN after the word itself."""
        options: dict[str, str] = {}
        if self.peek_symbol("(") and self.look().value in _EXPLAIN_OPTIONS:
            self.advance()
            self._explain_option(options)
            while self.accept_symbol(","):
                self._explain_option(options)
            self.expect_symbol(")")
        else:
            while word := self.accept_any("analyze", "analyse", "verbose"):
                options["analyze" if word == "analyse" else word] = "on"
        return Explain(self.planned_statement(), options)

    def _explain_option(self, options: dict[str, str]) -> None:
        position = self.position
        name = self.label()
        name = "analyze" if name == "analyse" else name
        if name not in _EXPLAIN_OPTIONS:
            raise SqlSyntaxError(f'unrecognized EXPLAIN option "{name}"', position=position)
        value = "on" if self.peek_symbol(",", ")") else self._option_value().lower()
        if name not in ("format", "serialize"):
            value = "on" if _boolean(name, value) else "off"
        options[name] = value

    # PREPARE

    def prepare(self) -> Prepare:
        """Take PREPARE after the word itself."""
        if self.peek("transaction"):
            raise self.unsupported("PREPARE TRANSACTION")
        name = self.identifier()
        types = []
        if self.accept_symbol("("):
            types.append(resolve_type(self.type_name()))
            while self.accept_symbol(","):
                types.append(resolve_type(self.type_name()))
            self.expect_symbol(")")
        self.expect("as")
        return Prepare(name, tuple(types), self.planned_statement())

    def execute(self) -> Execute:
        """Take EXECUTE after the word itself."""
        name = self.identifier()
        args: list[str] = []
        if self.accept_symbol("("):
            args.append(self.expression_text())
            while self.accept_symbol(","):
                args.append(self.expression_text())
            self.expect_symbol(")")
        return Execute(name, tuple(args))

    def deallocate(self) -> Deallocate:
        """Take DEALLOCATE after the word itself."""
        if self.peek("prepare") and self.look().kind is not TokenKind.END:
            self.advance()
        return Deallocate(None if self.accept("all") else self.identifier())

    # Cursors

    def declare_cursor(self) -> DeclareCursor:
        """Take DECLARE after the word itself."""
        name = self.identifier()
        binary, scroll = False, None
        while not self.accept("cursor"):
            if self.accept("binary"):
                binary = True
            elif self.accept("no", "scroll"):
                scroll = False
            elif self.accept("scroll"):
                scroll = True
            else:
                self.expect_any("insensitive", "asensitive")
        hold = self.accept("with", "hold")
        if not hold:
            self.accept("without", "hold")
        self.expect("for")
        query = self.planned_statement()
        if not isinstance(query, Query):
            raise self.error(self.tokens[0])
        return DeclareCursor(name, query, scroll, hold, binary)

    def fetch(self, *, is_move: bool) -> FetchCursor:
        """Take FETCH or MOVE after the word itself."""
        direction, count = self._direction()
        self.accept_any("from", "in")
        return FetchCursor(self.identifier(), direction, count, is_move)

    def _direction(self) -> tuple[str, int | None]:
        fixed = {
            "next": ("forward", 1),
            "prior": ("backward", 1),
            "first": ("absolute", 1),
            "last": ("absolute", -1),
        }
        if word := self.accept_any(*fixed):
            return fixed[word]
        if word := self.accept_any("absolute", "relative"):
            return word, self.integer()
        if word := self.accept_any("forward", "backward"):
            if self.accept("all"):
                return word, None
            return word, self.integer() if self._peek_number() else 1
        if self.accept("all"):
            return "forward", None
        return "forward", self.integer() if self._peek_number() else 1

    def _peek_number(self) -> bool:
        return self.token.kind is TokenKind.INTEGER or self.peek_symbol("-", "+")

    def close_cursor(self) -> CloseCursor:
        """Take CLOSE after the word itself."""
        return CloseCursor(None if self.accept("all") else self.identifier())


def _check_copy(options: CopyOptions, *, is_from: bool) -> None:
    """Refuse what PostgreSQL's ProcessCopyOptions refuses."""
    is_csv = options.format == "csv"
    for name in ("quote", "escape", "force_quote", "force_not_null", "force_null"):
        if getattr(options, name) and not is_csv:
            shown = name.replace("_", " ").upper() if "_" in name else name
            raise FeatureNotSupported(f"COPY {shown} available only in CSV mode")
    if options.format == "binary" and (options.delimiter is not None or options.null is not None):
        what = "DELIMITER" if options.delimiter is not None else "NULL"
        raise SqlSyntaxError(f"cannot specify {what} in BINARY mode")
    if options.delimiter is not None and len(options.delimiter.encode()) != 1:
        raise FeatureNotSupported("COPY delimiter must be a single one-byte character")
    if options.delimiter in ("\n", "\r"):
        raise InvalidParameterValue("COPY delimiter cannot be newline or carriage return")
    if options.header == "match" and not is_from:
        raise FeatureNotSupported('cannot use "match" with HEADER in COPY TO')
    for name in ("quote", "escape"):
        value = getattr(options, name)
        if value is not None and len(value.encode()) != 1:
            raise FeatureNotSupported(f"COPY {name} must be a single one-byte character")
    if is_csv and (options.delimiter or ",") == (options.quote or '"'):
        raise InvalidParameterValue("COPY delimiter and quote must be different")
