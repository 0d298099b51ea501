"""The parser's entry: one text to statements, one statement to its tree.

**Model.** `split` cuts a simple query at its semicolons; `parse` looks at the first words and
hands the tokens to the grammar of that command. Planned statements become query_syntax trees,
session commands utility nodes, the rest goes to DDL.

**Source.** gram.y `stmtmulti`, `stmt`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pgwire.errors import FeatureNotSupported, StatementTooComplex
from sqlnode.parse.data_commands import DataCommandParser
from sqlnode.parse.lexer import tokenize
from sqlnode.parse.query_syntax import DeleteSyntax, InsertSyntax, Query, UpdateSyntax
from sqlnode.parse.tokens import TokenKind


@dataclass(frozen=True, slots=True)
class StatementText:
    """One statement of a query string; `offset` is its first character, counted from 0."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """kind: the command in upper case (SELECT, CREATE TABLE); tree: see the module docstring."""

    kind: str
    tree: Any
    text: str
    param_count: int = 0  # the highest $n
    is_planned: bool = False
    is_ddl: bool = False
    lifted: Mapping[int, int] = field(default_factory=dict)


def split(text: str) -> list[StatementText]:
    """Cut a query string at its semicolons; empty statements are left out.

    Raises: SqlSyntaxError where the text cannot be lexed.

    >>> [s.text for s in split("select 1; select ';' ;")]
    ['select 1', "select ';'"]
    """
    stripped = text.rstrip(" \t\n\r;")
    if ";" not in stripped and "--" not in stripped and "/*" not in stripped:
        blanks = len(stripped) - len(stripped.lstrip())
        return [StatementText(stripped[blanks:], blanks)] if stripped.strip() else []
    statements: list[StatementText] = []
    start: int | None = None
    end = depth = 0
    for token in tokenize(text):
        is_mark = token.kind is TokenKind.PUNCTUATION
        if token.kind is TokenKind.END or (is_mark and token.value == ";" and depth <= 0):
            if start is not None:
                statements.append(StatementText(text[start:end], start))
            start, depth = None, 0
            continue
        if is_mark:
            depth += (token.value in "([") - (token.value in ")]")
        start = token.start if start is None else start
        end = token.end
    return statements


def parse(text: str, lifted: Mapping[int, int] | None = None) -> ParsedStatement:
    """Parse one statement. lifted: from Normalized, the literals that are parameters here.

    Raises: SqlSyntaxError, FeatureNotSupported, StatementTooComplex.
    """
    try:
        return _parse(text, lifted or {})
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None


def _parse(text: str, lifted: Mapping[int, int]) -> ParsedStatement:
    parser = DataCommandParser(text)
    parser.lifted = dict(lifted)
    first = parser.token
    word = first.value if first.kind is TokenKind.WORD else ""
    if first.value == "(" or word in _PLANNED:
        tree: Any = parser.planned_statement()
        parser.expect_end()
        count = max(parser.param_max, *lifted.values(), 0) if lifted else parser.param_max
        return ParsedStatement(_planned_kind(tree), tree, text, count, True, False, lifted)
    if word in _DDL:
        from sqlnode.ddl.grammar import parse_ddl

        return ParsedStatement(_ddl_kind(parser), parse_ddl(text), text, is_ddl=True)
    command = _COMMANDS.get(word)
    if command is None:
        if word in _UNSUPPORTED:
            raise FeatureNotSupported(f"{word.upper()} is not supported", position=first.position)
        raise parser.error()
    parser.advance()
    tree = command(parser)
    parser.expect_end()
    return ParsedStatement(tree.kind, tree, text, parser.param_max)


def _planned_kind(tree: Any) -> str:
    for node, kind in (
        (Query, "SELECT"),
        (InsertSyntax, "INSERT"),
        (UpdateSyntax, "UPDATE"),
        (DeleteSyntax, "DELETE"),
    ):
        if isinstance(tree, node):
            return kind
    raise AssertionError(f"{type(tree).__name__} is not planned")


_NOISE: Final = frozenset(
    {"or", "replace", "unique", "temp", "temporary", "global", "local", "unlogged"}
)


def _ddl_kind(parser: DataCommandParser) -> str:
    words = [t.value for t in parser.tokens[:8] if t.kind is TokenKind.WORD]
    verb, objects = words[0], [word for word in words[1:] if word not in _NOISE]
    if verb == "truncate":
        return "TRUNCATE TABLE"
    if verb == "comment":
        return "COMMENT"
    kind = objects[0] if objects else ""
    if kind == "materialized":
        kind = "materialized view"
    return f"{verb} {kind}".strip().upper()


def _start(parser: DataCommandParser) -> Any:
    parser.expect("transaction")
    return parser.begin(is_start=True)


def _begin(parser: DataCommandParser) -> Any:
    parser.accept_any("work", "transaction")
    return parser.begin(is_start=False)


_PLANNED: Final = frozenset({"select", "values", "with", "table", "insert", "update", "delete"})
_DDL: Final = frozenset({"create", "alter", "drop", "truncate", "comment"})
_UNSUPPORTED: Final = frozenset(
    {"call", "do", "load", "import", "security", "reassign", "refresh", "merge"}
)
_COMMANDS: Final[dict[str, Callable[[DataCommandParser], Any]]] = {
    "set": DataCommandParser.set_command,
    "reset": DataCommandParser.reset_command,
    "show": DataCommandParser.show_command,
    "begin": _begin,
    "cancel": DataCommandParser.cancel_command,
    "start": _start,
    "commit": DataCommandParser.commit,
    "end": DataCommandParser.commit,
    "rollback": DataCommandParser.rollback,
    "abort": DataCommandParser.rollback,
    "savepoint": DataCommandParser.savepoint,
    "release": DataCommandParser.release,
    "copy": DataCommandParser.copy,
    "explain": DataCommandParser.explain,
    "prepare": DataCommandParser.prepare,
    "execute": DataCommandParser.execute,
    "deallocate": DataCommandParser.deallocate,
    "discard": DataCommandParser.discard,
    "declare": DataCommandParser.declare_cursor,
    "fetch": lambda parser: parser.fetch(is_move=False),
    "move": lambda parser: parser.fetch(is_move=True),
    "close": DataCommandParser.close_cursor,
    "listen": DataCommandParser.listen,
    "unlisten": DataCommandParser.unlisten,
    "notify": DataCommandParser.notify,
    "lock": DataCommandParser.lock_table,
    "grant": lambda parser: parser.grant("GRANT"),
    "revoke": lambda parser: parser.grant("REVOKE"),
    "analyze": lambda parser: parser.maintenance("ANALYZE"),
    "analyse": lambda parser: parser.maintenance("ANALYZE"),
    "vacuum": lambda parser: parser.maintenance("VACUUM"),
    "checkpoint": lambda parser: parser.maintenance("CHECKPOINT"),
    "reindex": lambda parser: parser.maintenance("REINDEX"),
    "cluster": lambda parser: parser.maintenance("CLUSTER"),
}
