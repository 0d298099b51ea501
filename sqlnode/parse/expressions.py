"""Expressions: PostgreSQL's operator precedence by precedence climbing.

**Model.** `_LEVELS` is the precedence table of gram.y. A binary operator of level n takes a right
operand of level n + 1; comparison, IS DISTINCT and the LIKE family do not associate, so that `1 <
2 < 3` is a syntax error, as in PostgreSQL.

**Source.** gram.y `a_expr`, `b_expr`, `c_expr`; docs, section 4.1.6 "Operator Precedence".
"""

from typing import Final

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.parse.calls import CallParser
from sqlnode.parse.query_syntax import Query
from sqlnode.parse.special_calls import system_call
from sqlnode.parse.syntax import (
    Between,
    CastTo,
    CollateTo,
    DistinctTest,
    Expr,
    FieldSelect,
    FunctionCall,
    In,
    Like,
    Literal,
    Logical,
    Operation,
    ParamRef,
    Quantified,
    RowOf,
    ScalarQuery,
    Star,
    Subscript,
    Test,
)
from sqlnode.parse.tokens import TokenKind

OR, AND, NOT, IS, COMPARE, LIKE, OTHER, ADD, MULTIPLY, POWER, AT, COLLATE, UNARY = range(1, 14)

_OPERATOR_LEVELS: Final = {
    **dict.fromkeys(("<", ">", "=", "<=", ">=", "<>"), COMPARE),
    "+": ADD,
    "-": ADD,
    "*": MULTIPLY,
    "/": MULTIPLY,
    "%": MULTIPLY,
    "^": POWER,
}
_WORD_LEVELS: Final = {
    "or": OR,
    "and": AND,
    "is": IS,
    "isnull": IS,
    "notnull": IS,
    "between": LIKE,
    "in": LIKE,
    "like": LIKE,
    "ilike": LIKE,
    "similar": LIKE,
    "overlaps": LIKE,
    "collate": COLLATE,
}
_NEGATABLE: Final = ("between", "in", "like", "ilike", "similar")
_NON_ASSOCIATIVE: Final = (COMPARE, LIKE)
_LIKE_OPERATORS: Final = {("like", False): "~~", ("like", True): "!~~", ("ilike", False): "~~*"}


class ExpressionParser(CallParser):
    """Adds expressions to the cursor."""

    def expression(self, level: int = 0) -> Expr:
        """Take an expression of operators of at least `level`."""
        return self.expression_from(self._operand(), level)

    def restricted_expression(self) -> Expr:
        """Take an expression without AND, OR, IN, LIKE (b_expr)."""
        return self.expression(OTHER)

    def expression_text(self) -> str:
        """Take one expression and return its source text, checked to be an expression."""
        mark = self.at
        self.expression()
        return self.text_since(mark)

    def expression_from(self, left: Expr, level: int) -> Expr:
        """Go on with an expression whose first operand is already read."""
        closed = 0  # a non-associative operator of this level was just completed
        while True:
            found = self._next_level()
            if found is None or found < level:
                return left
            if found == closed:
                raise self.error()
            before = self.at
            left = self._infix(left, found)
            closed = found if found in _NON_ASSOCIATIVE and not self._ends_closed(before) else 0

    def _ends_closed(self, before: int) -> bool:
        """Whether what was read since `before` ended in a bracket: nothing binds into it."""
        word = self.tokens[before].value
        negated = self.tokens[before + 1].value if word == "not" else word
        return negated == "in"

    def _next_level(self) -> int | None:
        token = self.token
        if token.kind is TokenKind.OPERATOR:
            return _OPERATOR_LEVELS.get(token.value, OTHER)
        if token.kind is not TokenKind.WORD:
            return None
        if token.value == "not":
            following = self.look()
            negatable = following.kind is TokenKind.WORD and following.value in _NEGATABLE
            return LIKE if negatable else None
        if token.value == "at":
            return AT if self.peek("at", "time", "zone") else None
        if token.value == "operator":
            following = self.look()
            return OTHER if following.value == "(" else None
        return _WORD_LEVELS.get(token.value)

    def _infix(self, left: Expr, level: int) -> Expr:
        token = self.token
        if token.kind is TokenKind.OPERATOR or token.value == "operator":
            return self._operation(left, level)
        position = self.position
        negated = self.accept("not")
        word = self.advance().value
        if word in ("and", "or"):
            return self._logical(left, word, position)
        if word in ("isnull", "notnull"):
            return Test(left, "null", word == "notnull", position)
        handler = _INFIX[word]
        return handler(self, left, negated, position)

    def _logical(self, left: Expr, kind: str, position: int) -> Expr:
        level = AND if kind == "and" else OR
        args = [left, self.expression(level + 1)]
        while self.accept(kind):
            args.append(self.expression(level + 1))
        return Logical(kind, tuple(args), position)

    def _operation(self, left: Expr, level: int) -> Expr:
        position = self.position
        symbol, schema = self.operator_name()
        if quantifier := self.peek_any("any", "some", "all") and self.look().value == "(":
            assert quantifier, "checked"
            return self._quantified(left, symbol, position)
        right = self.expression(level + 1)
        return Operation(symbol, left, right, position, schema)

    def operator_name(self) -> tuple[str, str | None]:
        """Take `+` or `OPERATOR(schema.+)`: the symbol and its schema."""
        if not self.peek("operator"):
            return self.advance().value, None
        self.advance()
        self.expect_symbol("(")
        schema = None
        while self.token.kind in (TokenKind.WORD, TokenKind.QUOTED):
            schema = self.identifier()
            self.expect_symbol(".")
        if self.token.kind is not TokenKind.OPERATOR:
            raise self.error()
        symbol = self.advance().value
        self.expect_symbol(")")
        return symbol, schema

    def _quantified(self, left: Expr, symbol: str, position: int) -> Expr:
        is_all = self.advance().value == "all"
        operand = self.parenthesized()
        if isinstance(operand, ScalarQuery):
            return Quantified(left, symbol, is_all, None, operand.query, position)
        return Quantified(left, symbol, is_all, operand, None, position)

    def _is(self, left: Expr, negated: bool, position: int) -> Expr:
        negated = self.accept("not")
        if self.accept("distinct"):
            self.expect("from")
            return DistinctTest(left, self.expression(IS + 1), negated, position)
        if kind := self.accept_any("null", "true", "false", "unknown"):
            return Test(left, kind, negated, position)
        if self.peek_any("document", "json", "normalized", "of", "nfc", "nfd", "nfkc", "nfkd"):
            raise self.unsupported(f"IS {self.token.value.upper()}")
        raise self.error()

    def _between(self, left: Expr, negated: bool, position: int) -> Expr:
        symmetric = self.accept("symmetric")
        if not symmetric:
            self.accept("asymmetric")
        low = self.restricted_expression()
        self.expect("and")
        high = self.expression(LIKE + 1)
        return Between(left, low, high, negated, symmetric, position)

    def _in(self, left: Expr, negated: bool, position: int) -> Expr:
        if not self.peek_symbol("("):
            raise self.error()
        operand = self.parenthesized(is_list=True)
        if isinstance(operand, ScalarQuery):
            return In(left, (), operand.query, negated, position)
        assert isinstance(operand, RowOf), "is_list always gives a row"
        return In(left, operand.items, None, negated, position)

    def _like(self, left: Expr, negated: bool, position: int) -> Expr:
        return self._pattern(left, "like", negated, position)

    def _ilike(self, left: Expr, negated: bool, position: int) -> Expr:
        return self._pattern(left, "ilike", negated, position)

    def _similar(self, left: Expr, negated: bool, position: int) -> Expr:
        self.expect("to")
        return self._pattern(left, "similar", negated, position)

    def _pattern(self, left: Expr, kind: str, negated: bool, position: int) -> Expr:
        if kind != "similar" and self.peek_any("any", "some", "all"):
            symbol = _LIKE_OPERATORS.get((kind, negated), "!~~*")
            return self._quantified(left, symbol, position)
        pattern = self.expression(LIKE + 1)
        escape = self.expression(LIKE + 1) if self.accept("escape") else None
        return Like(kind, left, pattern, escape, negated, position)

    def _overlaps(self, left: Expr, negated: bool, position: int) -> Expr:
        right = self.expression(LIKE + 1)
        if not (isinstance(left, RowOf) and isinstance(right, RowOf)):
            raise SqlSyntaxError('syntax error at or near "overlaps"', position=position)
        for side, row in (("left", left), ("right", right)):
            if len(row.items) != 2:
                raise SqlSyntaxError(
                    f"wrong number of parameters on {side} side of OVERLAPS expression",
                    position=row.position,
                )
        return system_call("overlaps", (*left.items, *right.items), position)

    def _collate(self, left: Expr, negated: bool, position: int) -> Expr:
        names = [self.identifier()]
        while self.accept_symbol("."):
            names.append(self.label())
        return CollateTo(left, tuple(names), position)

    def _at_time_zone(self, left: Expr, negated: bool, position: int) -> Expr:
        self.expect("time", "zone")
        zone = self.expression(AT + 1)
        return system_call("timezone", (zone, left), position)

    # Operands

    def _operand(self) -> Expr:
        token = self.token
        if token.kind is TokenKind.OPERATOR:
            return self._prefix(token.value)
        if token.kind is TokenKind.WORD and token.value == "not":
            self.advance()
            return Logical("not", (self.expression(NOT),), token.position)
        if self.peek("operator") and self.look().value == "(":
            symbol, schema = self.operator_name()
            return Operation(symbol, None, self.expression(OTHER), token.position, schema)
        if token.value == "(" and token.kind is TokenKind.PUNCTUATION:
            return self.postfix(self.parenthesized())
        return self.postfix(self.primary())

    def _prefix(self, symbol: str) -> Expr:
        position = self.position
        lifted = self.lifted.get(self.token.start)
        self.advance()
        if lifted is not None:  # the sign belongs to the literal that became a parameter
            self.advance()
            return ParamRef(lifted, position)
        if symbol in ("+", "-"):
            operand = self.expression(UNARY)
            if symbol == "-" and isinstance(operand, Literal) and operand.kind in _NUMBERS:
                return _negated(operand, position)
            return Operation(symbol, None, operand, position)
        if symbol in _OPERATOR_LEVELS:
            raise self.error(self.tokens[self.at - 1])
        return Operation(symbol, None, self.expression(OTHER), position)

    def parenthesized(self, *, is_list: bool = False) -> Expr:
        """Take `(expression)`, `(a, b)` as a row, or `(query)`; is_list: one item is a row too."""
        position = self.position
        self.expect_symbol("(")
        if self.starts_query():
            query = self.query()
            self.expect_symbol(")")
            return ScalarQuery(query, position)
        if self.peek_symbol("("):
            inner = self.parenthesized()
            if isinstance(inner, ScalarQuery) and (outer := self._query_goes_on(inner, position)):
                return outer
            first = self.expression_from(self.postfix(inner), 0)
        else:
            first = self.expression()
        items = [first]
        while self.accept_symbol(","):
            items.append(self.expression())
        self.expect_symbol(")")
        if len(items) > 1 or is_list:
            return RowOf(tuple(items), position)
        return first

    def _query_goes_on(self, inner: ScalarQuery, position: int) -> ScalarQuery | None:
        """After `((query)`: the rest of a query that begins so, or None if it was an operand."""
        if self.accept_symbol(")"):
            return inner
        if self.peek_any("union", "intersect", "except", "order", "limit", "offset", "fetch"):
            query = self.query_from(inner.query)
            self.expect_symbol(")")
            return ScalarQuery(query, position)
        return None

    def postfix(self, arg: Expr) -> Expr:
        """Take what binds tightest after an operand: ::type, [subscript], .field."""
        while symbol := self.accept_symbol("::", "[", "."):
            position = self.tokens[self.at - 1].position
            if symbol == "::":
                arg = CastTo(arg, self.type_name(), position)
            elif symbol == "[":
                arg = self._subscript(arg, position)
            else:
                field = "*" if self.accept_symbol("*") else self.label()
                arg = FieldSelect(arg, field, position)
        return arg

    def _subscript(self, arg: Expr, position: int) -> Expr:
        lower = None if self.peek_symbol(":") else self.expression()
        if not self.accept_symbol(":"):
            self.expect_symbol("]")
            return Subscript(arg, lower, None, False, position)
        upper = None if self.peek_symbol("]") else self.expression()
        self.expect_symbol("]")
        return Subscript(arg, lower, upper, True, position)

    def starts_query(self) -> bool:
        """Say whether a query comes next, parentheses aside."""
        if self.peek("table"):
            return True
        return self.peek_any("select", "values", "with")

    def query(self) -> Query:
        """Take a query; the query parser implements it."""
        raise FeatureNotSupported("a subquery is not supported here", position=self.position)

    def query_from(self, first: Query) -> Query:
        """Go on with a query whose first, parenthesized operand is already read."""
        raise FeatureNotSupported("a subquery is not supported here", position=self.position)


_NUMBERS: Final = ("integer", "numeric")


def _negated(operand: Literal, position: int) -> Literal:
    """Fold a minus into a constant, as gram.y's doNegate does."""
    text = operand.value
    return Literal(operand.kind, text[1:] if text.startswith("-") else "-" + text, position)


_INFIX: Final = {
    "is": ExpressionParser._is,
    "between": ExpressionParser._between,
    "in": ExpressionParser._in,
    "like": ExpressionParser._like,
    "ilike": ExpressionParser._ilike,
    "similar": ExpressionParser._similar,
    "overlaps": ExpressionParser._overlaps,
    "collate": ExpressionParser._collate,
    "at": ExpressionParser._at_time_zone,
}

__all__ = ["ExpressionParser", "FunctionCall", "Star"]
