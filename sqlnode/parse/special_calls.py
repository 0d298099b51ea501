"""Functions with grammar of their own, rewritten to the plain calls PostgreSQL makes of them.

**Source.** gram.y `func_expr_common_subexpr`, `extract_list`, `overlay_list`, `position_list`,
`substr_list`, `trim_list`.
"""

from typing import TYPE_CHECKING, Final

from sqlnode.parse.syntax import (
    CastTo,
    Expr,
    FunctionCall,
    Literal,
    SpecialCall,
    SqlValue,
    TypeName,
)
from sqlnode.parse.tokens import TokenKind

if TYPE_CHECKING:
    from sqlnode.parse.expressions import ExpressionParser

INT4: Final = TypeName(("pg_catalog", "int4"))


def system_call(name: str, args: tuple[Expr, ...], position: int) -> FunctionCall:
    """Build a call of pg_catalog.name."""
    return FunctionCall(("pg_catalog", name), args, position=position, special=True)


def _plain(parser: "ExpressionParser", kind: str) -> Expr:
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    args = [parser.expression()]
    while parser.accept_symbol(","):
        args.append(parser.expression())
    if kind == "nullif" and len(args) != 2:
        raise parser.error()
    parser.expect_symbol(")")
    return SpecialCall(kind, tuple(args), position)


def coalesce(parser: "ExpressionParser") -> Expr:
    """Take COALESCE(…)."""
    return _plain(parser, "coalesce")


def nullif(parser: "ExpressionParser") -> Expr:
    """Take NULLIF(a, b)."""
    return _plain(parser, "nullif")


def greatest(parser: "ExpressionParser") -> Expr:
    """Take GREATEST(…)."""
    return _plain(parser, "greatest")


def least(parser: "ExpressionParser") -> Expr:
    """Take LEAST(…)."""
    return _plain(parser, "least")


def grouping(parser: "ExpressionParser") -> Expr:
    """Take GROUPING(…)."""
    return _plain(parser, "grouping")


def cast(parser: "ExpressionParser") -> Expr:
    """Take CAST(arg AS type)."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    arg = parser.expression()
    parser.expect("as")
    target = parser.type_name()
    parser.expect_symbol(")")
    return CastTo(arg, target, position)


def extract(parser: "ExpressionParser") -> Expr:
    """Take EXTRACT(unit FROM arg)."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    at = parser.position
    is_text = parser.token.kind is TokenKind.STRING
    unit = parser.string() if is_text else parser.non_reserved_word()
    parser.expect("from")
    arg = parser.expression()
    parser.expect_symbol(")")
    return system_call("extract", (Literal("string", unit, at), arg), position)


def position_of(parser: "ExpressionParser") -> Expr:
    """Take POSITION(needle IN hay): position(hay, needle)."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    needle = parser.restricted_expression()
    parser.expect("in")
    hay = parser.restricted_expression()
    parser.expect_symbol(")")
    return system_call("position", (hay, needle), position)


def overlay(parser: "ExpressionParser") -> Expr:
    """Take OVERLAY(arg PLACING new FROM start FOR length)."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    args = [parser.expression()]
    if parser.accept("placing"):
        args.append(parser.expression())
        parser.expect("from")
        args.append(parser.expression())
        if parser.accept("for"):
            args.append(parser.expression())
    else:
        while parser.accept_symbol(","):
            args.append(parser.expression())
    parser.expect_symbol(")")
    return system_call("overlay", tuple(args), position)


def substring(parser: "ExpressionParser") -> Expr:
    """Take SUBSTRING(arg FROM start FOR length) and its other forms."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    args: list[Expr] = [parser.expression()]
    if parser.peek_any("from", "for"):
        _substring_clauses(parser, args)
    elif parser.accept("similar"):
        args.append(parser.expression())
        parser.expect("escape")
        args.append(parser.expression())
    else:
        while parser.accept_symbol(","):
            args.append(parser.expression())
    parser.expect_symbol(")")
    return system_call("substring", tuple(args), position)


def _substring_clauses(parser: "ExpressionParser", args: list[Expr]) -> None:
    start: Expr | None = None
    length: Expr | None = None
    while word := parser.accept_any("from", "for"):
        if word == "from" and start is None:
            start = parser.expression()
        elif word == "for" and length is None:
            length = parser.expression()
        else:
            raise parser.error()
    if start is None:  # FOR alone: the length must be an integer, as gram.y casts it
        assert length is not None, "the loop above read a clause"
        start, length = Literal("integer", "1"), CastTo(length, INT4)
    args.append(start)
    if length is not None:
        args.append(length)


_TRIMS: Final = {"both": "btrim", "leading": "ltrim", "trailing": "rtrim"}


def trim(parser: "ExpressionParser") -> Expr:
    """Take TRIM(side chars FROM arg) and its other forms."""
    position = parser.position
    parser.advance()
    parser.expect_symbol("(")
    side = parser.accept_any(*_TRIMS) or "both"
    first: list[Expr] = []
    if not parser.peek("from"):
        first.append(parser.expression())
    args: list[Expr] = []
    if parser.accept("from"):
        args.append(parser.expression())
    while parser.accept_symbol(","):
        (args or first).append(parser.expression())
    parser.expect_symbol(")")
    return system_call(_TRIMS[side], (*args, *first), position)


def sql_value(parser: "ExpressionParser") -> Expr:
    """Take CURRENT_DATE and its kin."""
    position = parser.position
    kind = parser.advance().value
    precision = None
    if kind in _TIMED and parser.accept_symbol("("):
        precision = parser.integer()
        parser.expect_symbol(")")
    return SqlValue(kind, precision, position)


_TIMED: Final = frozenset({"current_time", "current_timestamp", "localtime", "localtimestamp"})
SQL_VALUES: Final = _TIMED | {
    "current_catalog",
    "current_date",
    "current_role",
    "current_user",
    "session_user",
    "user",
}

SPECIAL_CALLS: Final = {
    "coalesce": coalesce,
    "nullif": nullif,
    "greatest": greatest,
    "least": least,
    "grouping": grouping,
    "extract": extract,
    "position": position_of,
    "overlay": overlay,
    "substring": substring,
    "trim": trim,
}
