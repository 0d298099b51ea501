"""Primary expressions: constants, columns, CASE, ARRAY, ROW, EXISTS and function calls.

**Source.** gram.y `c_expr`, `AexprConst`, `func_expr`, `case_expr`, `window_specification`.
"""

from typing import Final

from sqlnode.parse.keywords import NOT_COLUMN, NOT_FUNCTION
from sqlnode.parse.query_syntax import Query
from sqlnode.parse.special_calls import SPECIAL_CALLS, SQL_VALUES, cast, sql_value
from sqlnode.parse.syntax import (
    ArrayOf,
    ArrayQuery,
    CaseWhen,
    CastTo,
    ColumnName,
    ExistsQuery,
    Expr,
    FrameEdge,
    FunctionCall,
    Literal,
    ParamRef,
    RowOf,
    ScalarQuery,
    SetDefault,
    SortItem,
    Star,
    TypeName,
    WindowSpec,
)
from sqlnode.parse.tokens import Token, TokenKind
from sqlnode.parse.type_names import TypeNameParser

_CONSTANTS: Final = {"true": ("bool", True), "false": ("bool", False), "null": ("null", None)}
_UNITS: Final = ("year", "month", "day", "hour", "minute", "second")
_UNSUPPORTED: Final = frozenset(
    [
        "treat",
        "normalize",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)


class CallParser(TypeNameParser):
    """Adds primary expressions to the cursor."""

    lifted: "dict[int, int]"  # token start → parameter index, of literals the plan cache lifted

    def __init__(self, text: str, tokens: list[Token] | None = None) -> None:
        super().__init__(text, tokens)
        self.lifted = {}
        self.param_max = 0  # the highest $n seen

    def expression(self, level: int = 0) -> Expr:
        """Take an expression; the expression parser implements it."""
        raise NotImplementedError

    def restricted_expression(self) -> Expr:
        """Take a b_expr; the expression parser implements it."""
        raise NotImplementedError

    def parenthesized(self, *, is_list: bool = False) -> Expr:
        """Take what stands in parentheses; the expression parser implements it."""
        raise NotImplementedError

    def operator_name(self) -> tuple[str, str | None]:
        """Take an operator; the expression parser implements it."""
        raise NotImplementedError

    def query(self) -> Query:
        """Take a query; the query parser implements it."""
        raise NotImplementedError

    def primary(self) -> Expr:
        """Take an operand without prefix or postfix."""
        token = self.token
        kind = token.kind
        if token.start in self.lifted:
            self.advance()
            return ParamRef(self.lifted[token.start], token.position)
        if kind is TokenKind.WORD:
            return self._word(token)
        if kind is TokenKind.QUOTED:
            return self._name_or_call()
        if kind is TokenKind.PUNCTUATION or kind is TokenKind.END or kind is TokenKind.OPERATOR:
            raise self.error()
        self.advance()
        if kind is TokenKind.PARAM:
            index = int(token.value)
            self.param_max = max(self.param_max, index)
            return ParamRef(index, token.position)
        if kind is TokenKind.BIT_STRING:
            raise self.unsupported("type bit")
        return Literal(_LITERAL_KINDS[kind], token.value, token.position)

    def _word(self, token: Token) -> Expr:
        word = token.value
        if (constant := _CONSTANTS.get(word)) is not None:
            self.advance()
            return Literal(*constant, token.position)
        if word in SQL_VALUES:
            return sql_value(self)  # type: ignore[arg-type]  # self is always the leaf class
        if (handler := _WORDS.get(word)) is not None and (found := handler(self)) is not None:
            return found
        if self.look().value == "(" and self.look().kind is TokenKind.PUNCTUATION:
            if (special := SPECIAL_CALLS.get(word)) is not None:
                return special(self)  # type: ignore[arg-type]  # self is always the leaf class
            if word in _UNSUPPORTED:
                raise self.unsupported(word.upper())
        if self.peek_type_keyword() and (typed := self._keyword_typed()) is not None:
            return typed
        return self._name_or_call()

    def _keyword_typed(self) -> Expr | None:
        """`numeric(5,2) '1.5'`; None where the word turns out to be a column's name."""
        mark, position = self.at, self.position
        following = self.look()
        if following.kind not in (TokenKind.STRING, TokenKind.WORD) and following.value != "(":
            return None
        names, typmods = self._simple_type()
        if self.token.kind is TokenKind.STRING:
            return self._typed_literal(TypeName(names, typmods, position=position))
        self.at = mark
        return None

    def _typed_literal(self, target: TypeName) -> Expr:
        position = self.position
        text = self.string()
        if target.names[-1] == "interval" and (unit := self.accept_any(*_UNITS)):
            if self.peek("to") or not text.strip().lstrip("+-").replace(".", "", 1).isdecimal():
                raise self.unsupported("interval with a field restriction")
            text = f"{text} {unit}"
        return CastTo(Literal("string", text, position), target, target.position)

    def _name_or_call(self) -> Expr:
        token = self.token
        if (
            token.kind is TokenKind.WORD
            and token.value in NOT_COLUMN
            and token.value in NOT_FUNCTION
        ):
            raise self.error()
        if self.accept("double", "precision"):
            if self.token.kind is not TokenKind.STRING:
                raise self.error()
            return self._typed_literal(TypeName(("pg_catalog", "float8"), position=token.position))
        parts = [self.label()]
        while self.peek_symbol("."):
            self.advance()
            if self.accept_symbol("*"):
                return Star(tuple(parts), token.position)
            parts.append(self.label())
        if self.peek_symbol("("):
            if len(parts) == 1 and token.kind is TokenKind.WORD and token.value in NOT_FUNCTION:
                raise self.error()
            return self.function_call(tuple(parts), token.position)
        if self.token.kind is TokenKind.STRING and token.value not in NOT_FUNCTION:
            return self._typed_literal(TypeName(tuple(parts), position=token.position))
        if token.kind is TokenKind.WORD and token.value in NOT_COLUMN:
            raise self.error()
        return ColumnName(tuple(parts), token.position)

    # Words with grammar of their own

    def _case(self) -> Expr:
        position = self.position
        self.advance()
        arg = None if self.peek("when") else self.expression()
        whens = []
        while self.accept("when"):
            condition = self.expression()
            self.expect("then")
            whens.append((condition, self.expression()))
        if not whens:
            raise self.error()
        default = self.expression() if self.accept("else") else None
        self.expect("end")
        return CaseWhen(arg, tuple(whens), default, position)

    def _cast(self) -> Expr:
        return cast(self)  # type: ignore[arg-type]  # self is always the leaf class

    def _array(self) -> Expr:
        position = self.position
        self.advance()
        if self.peek_symbol("("):
            operand = self.parenthesized()
            if not isinstance(operand, ScalarQuery):
                raise self.error(self.tokens[self.at - 1])
            return ArrayQuery(operand.query, position)
        return self._array_items(position)

    def _array_items(self, position: int) -> Expr:
        self.expect_symbol("[")
        items: list[Expr] = []
        if not self.peek_symbol("]"):
            items.append(self._array_item())
            while self.accept_symbol(","):
                items.append(self._array_item())
        self.expect_symbol("]")
        return ArrayOf(tuple(items), position)

    def _array_item(self) -> Expr:
        return self._array_items(self.position) if self.peek_symbol("[") else self.expression()

    def _row(self) -> Expr | None:
        if self.look().value != "(":
            return None
        position = self.position
        self.advance()
        self.advance()
        items: list[Expr] = []
        if not self.peek_symbol(")"):
            items.append(self.expression())
            while self.accept_symbol(","):
                items.append(self.expression())
        self.expect_symbol(")")
        return RowOf(tuple(items), position)

    def _exists(self) -> Expr | None:
        if self.look().value != "(":
            return None
        position = self.position
        self.advance()
        operand = self.parenthesized()
        if not isinstance(operand, ScalarQuery):
            raise self.error(self.tokens[self.at - 1])
        return ExistsQuery(operand.query, position)

    def _default(self) -> Expr:
        return SetDefault(self.advance().position)

    def _current_schema(self) -> Expr | None:
        if self.look().value == "(":
            return None
        position = self.advance().position
        return FunctionCall(("pg_catalog", "current_schema"), position=position, special=True)

    # Calls

    def function_call(self, name: tuple[str, ...], position: int) -> FunctionCall:
        """Take `(args)` and FILTER, WITHIN GROUP, OVER after a function's name."""
        self.expect_symbol("(")
        if self.accept_symbol("*"):
            self.expect_symbol(")")
            return self._call_suffix({"name": name, "star": True, "position": position})
        distinct = self.accept("distinct")
        if not distinct:
            self.accept("all")
        args: list[Expr] = []
        names: list[str | None] = []
        variadic = False
        if not self.peek_symbol(")"):
            while True:
                variadic = self.accept("variadic")
                names.append(self._argument_name())
                args.append(self.expression())
                if variadic or not self.accept_symbol(","):
                    break
        order_by = self.sort_items() if self.accept("order", "by") else ()
        self.expect_symbol(")")
        return self._call_suffix(
            {
                "name": name,
                "args": tuple(args),
                "arg_names": tuple(names) if any(names) else (),
                "distinct": distinct,
                "variadic": variadic,
                "order_by": order_by,
                "position": position,
            }
        )

    def _argument_name(self) -> str | None:
        following = self.look()
        if following.value in ("=>", ":=") and self.peek_identifier():
            name = self.label()
            self.advance()
            return name
        return None

    def _call_suffix(self, parts: "dict[str, object]") -> FunctionCall:
        if self.accept("within", "group"):
            self.expect_symbol("(")
            self.expect("order", "by")
            parts["order_by"], parts["within_group"] = self.sort_items(), True
            self.expect_symbol(")")
        if self.peek("filter") and self.look().value == "(":
            self.advance()
            self.expect_symbol("(")
            self.expect("where")
            parts["filter"] = self.expression()
            self.expect_symbol(")")
        if self.peek("over"):
            position = self.advance().position
            if self.peek_symbol("("):
                parts["over"] = self.window_spec()
            else:
                parts["over"] = WindowSpec(self.identifier(), bare=True, position=position + 5)
        return FunctionCall(**parts)  # type: ignore[arg-type]  # the keys above are its fields

    def sort_items(self) -> tuple[SortItem, ...]:
        """Take the items of ORDER BY."""
        items = [self._sort_item()]
        while self.accept_symbol(","):
            items.append(self._sort_item())
        return tuple(items)

    def _sort_item(self) -> SortItem:
        position = self.position
        expr = self.expression()
        descending, using = False, None
        if self.accept("using"):
            using, _ = self.operator_name()
        else:
            descending = self.accept_any("asc", "desc") == "desc"
        nulls_first = None
        if self.accept("nulls"):
            nulls_first = self.expect_any("first", "last") == "first"
        return SortItem(expr, descending, nulls_first, using, position)

    def window_spec(self, name: str = "") -> WindowSpec:
        """Take `([name] PARTITION BY … ORDER BY … frame)`."""
        position = self.position
        self.expect_symbol("(")
        ref = None
        if self.peek_identifier() and not self.peek_any("partition", "rows", "range", "groups"):
            ref = self.identifier()
        partition: list[Expr] = []
        if self.accept("partition", "by"):
            partition.append(self.expression())
            while self.accept_symbol(","):
                partition.append(self.expression())
        order_by = self.sort_items() if self.accept("order", "by") else ()
        mode = self.accept_any("rows", "range", "groups")
        start = end = None
        exclude = ""
        if mode is not None:
            start, end, exclude = self._frame()
        self.expect_symbol(")")
        return WindowSpec(
            ref, tuple(partition), order_by, mode, start, end, exclude, False, name, position
        )

    def _frame(self) -> tuple[FrameEdge, FrameEdge, str]:
        if self.accept("between"):
            start = self._frame_edge()
            self.expect("and")
            end = self._frame_edge()
        else:
            start, end = self._frame_edge(), FrameEdge("current row")
        exclude = ""
        if self.accept("exclude"):
            if self.accept("current", "row"):
                exclude = "current row"
            elif self.accept("no", "others"):
                exclude = ""
            else:
                exclude = self.expect_any("group", "ties")
        return start, end, exclude

    def _frame_edge(self) -> FrameEdge:
        if self.accept("unbounded"):
            return FrameEdge(f"unbounded {self.expect_any('preceding', 'following')}")
        if self.accept("current", "row"):
            return FrameEdge("current row")
        offset = self.expression()
        return FrameEdge(self.expect_any("preceding", "following"), offset)


_LITERAL_KINDS: Final = {
    TokenKind.STRING: "string",
    TokenKind.INTEGER: "integer",
    TokenKind.NUMERIC: "numeric",
}
_WORDS: Final = {
    "case": CallParser._case,
    "cast": CallParser._cast,
    "array": CallParser._array,
    "row": CallParser._row,
    "exists": CallParser._exists,
    "default": CallParser._default,
    "current_schema": CallParser._current_schema,
}
