"""FROM: tables, subqueries, functions, joins and their aliases.

**Source.** gram.y `from_list`, `table_ref`, `joined_table`, `func_table`, `alias_clause`.
"""

from typing import Final

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.expressions import ExpressionParser
from sqlnode.parse.query_syntax import (
    Alias,
    FromItem,
    FunctionRef,
    JoinRef,
    PastTime,
    Query,
    SubqueryRef,
    TableRef,
)
from sqlnode.parse.syntax import Expr, FunctionCall, ScalarQuery, TypeName

_JOIN_WORDS: Final = ("cross", "natural", "inner", "left", "right", "full", "join")


class FromParser(ExpressionParser):
    """Adds FROM items to the cursor."""

    is_update_target = False  # between UPDATE and SET, which is no alias there

    def from_list(self) -> tuple[FromItem, ...]:
        """Take the items of FROM or USING."""
        items = [self.from_item()]
        while self.accept_symbol(","):
            items.append(self.from_item())
        return tuple(items)

    def from_item(self) -> FromItem:
        """Take one item with all joins that follow it."""
        left = self._from_primary()
        while self.peek_any(*_JOIN_WORDS):
            left = self._join(left)
        return left

    def _join(self, left: FromItem) -> FromItem:
        position = self.position
        if self.accept("cross", "join"):
            return JoinRef("cross", left, self._from_primary(), position=position)
        natural = self.accept("natural")
        kind = self.accept_any("inner", "left", "right", "full") or "inner"
        if kind in ("left", "right", "full"):
            self.accept("outer")
        self.expect("join")
        right = self._from_primary()
        while not natural and self.peek_any(*_JOIN_WORDS):  # ON of the outer join comes later
            right = self._join(right)
        if natural:
            return JoinRef(kind, left, right, natural=True, position=position)
        if self.accept("on"):
            return JoinRef(kind, left, right, on=self.expression(), position=position)
        self.expect("using")
        columns = self.identifier_list()
        has_alias = not self.peek_past_time() and self.accept("as")
        alias = Alias(self.identifier()) if has_alias else None
        return JoinRef(kind, left, right, using=columns, alias=alias, position=position)

    def _from_primary(self) -> FromItem:
        position = self.position
        lateral = self.accept("lateral")
        if self.peek_symbol("("):
            return self._parenthesized_item(position, lateral)
        if self.accept("rows", "from"):
            return self._rows_from(position, lateral)
        if self._peek_call():
            return self._function(position, lateral)
        if lateral:
            raise self.error()
        return self.table_ref()

    def table_ref(self) -> TableRef:
        """Take a relation's name and its alias."""
        position = self.position
        if self.accept("only"):
            return self._only(position)
        name = self.qualified_name()
        self.accept_symbol("*")
        alias = self.alias()
        if self.peek("tablesample"):
            raise self.unsupported("TABLESAMPLE")
        return TableRef(name, alias, position)

    def _only(self, position: int) -> TableRef:
        if self.accept_symbol("("):
            name = self.qualified_name()
            self.expect_symbol(")")
        else:
            name = self.qualified_name()
        return TableRef(name, self.alias(), position)

    def alias(self) -> Alias | None:
        """Take `[AS] name [(columns)]` if it is there."""
        if self._accept_alias():
            name = self.identifier()
        else:
            return None
        columns = self.identifier_list() if self.peek_symbol("(") else ()
        return Alias(name, columns)

    def _accept_alias(self) -> bool:
        """Take AS, if it is there; tell whether the name of an alias comes next."""
        if self.peek_past_time():
            return False
        return self.accept("as") or (self.peek_identifier() and not self._peek_clause())

    def peek_past_time(self) -> bool:
        """Whether AS begins no alias but AS OF SYSTEM TIME."""
        return self.peek("as", "of", "system", "time")

    def past_time(self) -> PastTime:
        """Take AS OF SYSTEM TIME and its expression."""
        self.expect("as", "of", "system", "time")
        mark, position = self.at, self.position
        expr = self.expression()
        return PastTime(expr, self.text_since(mark), position)

    def _peek_clause(self) -> bool:
        """Words that may be identifiers but continue a statement where an alias could stand."""
        return self.is_update_target and self.peek("set")

    def _parenthesized_item(self, position: int, lateral: bool) -> FromItem:
        """`(query)` or `(joined tables)`."""
        mark = self.at
        if self._paren_holds_query():
            operand = self.parenthesized()
            if isinstance(operand, ScalarQuery):
                return self._subquery(operand.query, position, lateral)
            self.at = mark
        self.expect_symbol("(")
        item = self.from_item()
        if not isinstance(item, JoinRef):
            raise self.error()
        self.expect_symbol(")")
        alias = self.alias()
        if alias is None:
            return item
        return JoinRef(
            item.kind, item.left, item.right, item.on, item.using, item.natural, alias, position
        )

    def _paren_holds_query(self) -> bool:
        """Look through opening parentheses for SELECT, VALUES, WITH or TABLE."""
        ahead = 0
        while self.look(ahead).value == "(":
            ahead += 1
        token = self.look(ahead)
        if token.value not in ("select", "values", "with", "table"):
            return False
        # ((SELECT …) AS a JOIN …): the inner parenthesis is an item, not the beginning of a query
        return ahead == 1 or not self._closes_into_alias(ahead)

    def _closes_into_alias(self, opened: int) -> bool:
        depth, ahead = opened, opened
        while depth >= opened and ahead < len(self.tokens):
            value = self.look(ahead).value
            depth += (value == "(") - (value == ")")
            ahead += 1
        following = self.look(ahead)
        return following.value not in (
            ")", "union", "intersect", "except", "order", "limit", "offset", "fetch",
        )  # fmt: skip

    def _subquery(self, query: Query, position: int, lateral: bool) -> SubqueryRef:
        alias = self.alias()
        if alias is None:
            what = "VALUES" if type(query.body).__name__ == "ValuesCore" else "subquery"
            example = "(VALUES ...)" if what == "VALUES" else "(SELECT ...)"
            raise SqlSyntaxError(
                f"{what} in FROM must have an alias",
                hint=f"For example, FROM {example} [AS] foo.",
                position=position,
            )
        return SubqueryRef(query, alias, lateral, position)

    def _peek_call(self) -> bool:
        """Whether `name(`, `schema.name(` or a value function such as CURRENT_DATE comes next."""
        ahead = 0
        while self.look(ahead + 1).value == ".":
            ahead += 2
        if self.look(ahead + 1).value == "(":
            return True
        return self.peek_any("current_date", "current_timestamp", "current_user", "session_user")

    def _call(self) -> FunctionCall:
        operand = self.primary()
        if not isinstance(operand, FunctionCall):
            raise self.unsupported("this expression in FROM")
        return operand

    def _function(self, position: int, lateral: bool) -> FunctionRef:
        return self._function_rest((self._call(),), position, lateral)

    def _rows_from(self, position: int, lateral: bool) -> FunctionRef:
        self.expect_symbol("(")
        calls = [self._call()]
        while self.accept_symbol(","):
            calls.append(self._call())
        self.expect_symbol(")")
        return self._function_rest(tuple(calls), position, lateral)

    def _function_rest(
        self, calls: tuple[FunctionCall, ...], position: int, lateral: bool
    ) -> FunctionRef:
        ordinality = self.accept("with", "ordinality")
        if self.peek("as") and self.look().value == "(":
            self.advance()
            return FunctionRef(calls, None, ordinality, lateral, self._definitions(), position)
        name = None
        if self._accept_alias():
            name = self.identifier()
        if name is None:
            return FunctionRef(calls, None, ordinality, lateral, (), position)
        if self.peek_symbol("(") and self._peek_definition():
            definitions = self._definitions()
            return FunctionRef(calls, Alias(name), ordinality, lateral, definitions, position)
        columns = self.identifier_list() if self.peek_symbol("(") else ()
        return FunctionRef(calls, Alias(name, columns), ordinality, lateral, (), position)

    def _peek_definition(self) -> bool:
        return self.look(2).value not in (",", ")")

    def _definitions(self) -> tuple[tuple[str, TypeName], ...]:
        self.expect_symbol("(")
        columns = [(self.identifier(), self.type_name())]
        while self.accept_symbol(","):
            columns.append((self.identifier(), self.type_name()))
        self.expect_symbol(")")
        return tuple(columns)


__all__ = ["Expr", "FromParser"]
