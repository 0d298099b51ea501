"""Queries: SELECT, VALUES, TABLE, WITH, set operations and the clauses that follow them.

**Source.** gram.y `SelectStmt`, `select_clause`, `simple_select`, `with_clause`, `group_clause`.
"""

from typing import Final

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.parse.from_clause import FromParser
from sqlnode.parse.keywords import NEEDS_AS
from sqlnode.parse.query_syntax import (
    CommonTable,
    GroupItem,
    Locking,
    Query,
    SelectCore,
    SetCore,
    TableRef,
    Target,
    ValuesCore,
    WithClause,
)
from sqlnode.parse.syntax import Expr, Literal, RowOf, ScalarQuery, SortItem, Star, WindowSpec
from sqlnode.parse.tokens import TokenKind

_TAIL: Final = ("order", "limit", "offset", "fetch", "for")


class QueryParser(FromParser):
    """Adds queries to the cursor."""

    def query(self) -> Query:
        """Take a whole query. Raises: SqlSyntaxError, FeatureNotSupported."""
        position = self.position
        with_ = self.with_clause() if self.peek("with") else None
        body = self._set_operations(0)
        return self._tail(body, with_, position)

    def query_from(self, first: Query) -> Query:
        """Go on with a query whose first, parenthesized operand is already read."""
        return self._tail(self._set_operations(0, first), None, first.position)

    def with_clause(self) -> WithClause:
        """Take WITH and its items."""
        self.expect("with")
        recursive = self.accept("recursive")
        items = [self._common_table()]
        while self.accept_symbol(","):
            items.append(self._common_table())
        return WithClause(tuple(items), recursive)

    def _common_table(self) -> CommonTable:
        position = self.position
        name = self.identifier()
        columns = self.identifier_list() if self.peek_symbol("(") else ()
        self.expect("as")
        materialized: bool | None = None
        if self.accept("materialized"):
            materialized = True
        elif self.accept("not", "materialized"):
            materialized = False
        self.expect_symbol("(")
        if self.peek_any("insert", "update", "delete"):
            raise self.unsupported(f"{self.token.value.upper()} in WITH")
        query = self.query()
        self.expect_symbol(")")
        if self.peek_any("search", "cycle"):
            raise self.unsupported(f"{self.token.value.upper()} clause of WITH")
        return CommonTable(name, query, columns, materialized, position)

    # Set operations: INTERSECT binds tighter than UNION and EXCEPT

    def _set_operations(self, level: int, first: Query | None = None) -> Query:
        left = first or self._simple()
        while True:
            kind = self.token.value if self.peek_any("union", "except", "intersect") else None
            found = {"union": 1, "except": 1, "intersect": 2}.get(kind or "", 0)
            if kind is None or found <= level:
                return left
            position = self.advance().position
            is_all = self.accept("all")
            if not is_all:
                self.accept("distinct")
            right = self._set_operations(found)
            left = Query(SetCore(kind, is_all, left, right, position), position=left.position)

    def _simple(self) -> Query:
        position = self.position
        if self.peek_symbol("("):
            operand = self.parenthesized()
            if not isinstance(operand, ScalarQuery):
                raise self.error(self.tokens[self.at - 1])
            return operand.query
        if self.peek("select"):
            return Query(self._select(), position=position)
        if self.accept("values"):
            return Query(ValuesCore(self._value_rows(), position), position=position)
        if self.accept("table"):
            table = self._table_only()
            core = SelectCore((Target(Star(), None, position),), from_=(table,), position=position)
            return Query(core, position=position)
        raise self.error()

    def _table_only(self) -> TableRef:
        position = self.position
        self.accept("only")
        return TableRef(self.qualified_name(), None, position)

    def _value_rows(self) -> tuple[tuple[Expr, ...], ...]:
        rows = [self._value_row()]
        while self.accept_symbol(","):
            rows.append(self._value_row())
        return tuple(rows)

    def _value_row(self) -> tuple[Expr, ...]:
        self.expect_symbol("(")
        items = [self.expression()]
        while self.accept_symbol(","):
            items.append(self.expression())
        self.expect_symbol(")")
        return tuple(items)

    # SELECT

    def _select(self) -> SelectCore:
        position = self.advance().position
        distinct = self._distinct()
        targets = self._targets()
        if distinct is not None and not targets:
            raise self.error()
        if self.peek("into"):
            raise self.unsupported("SELECT INTO")
        from_ = self.from_list() if self.accept("from") else ()
        as_of = self.past_time() if self.peek_past_time() else None
        where = self.expression() if self.accept("where") else None
        group_by: tuple[GroupItem, ...] = ()
        group_distinct = False
        if self.accept("group"):
            self.expect("by")
            group_distinct = self.accept("distinct")
            if not group_distinct:
                self.accept("all")
            group_by = self._group_items()
        having = self.expression() if self.accept("having") else None
        windows = self._windows() if self.accept("window") else ()
        return SelectCore(
            targets,
            distinct,
            from_,
            where,
            group_by,
            group_distinct,
            having,
            windows,
            position,
            as_of,
        )

    def _distinct(self) -> tuple[Expr, ...] | None:
        if not self.accept("distinct"):
            self.accept("all")
            return None
        if not self.accept("on"):
            return ()
        self.expect_symbol("(")
        items = [self.expression()]
        while self.accept_symbol(","):
            items.append(self.expression())
        self.expect_symbol(")")
        return tuple(items)

    def _targets(self) -> tuple[Target, ...]:
        if self.at_end or self.peek_symbol(")", ";") or self.peek_any("from", "where", "union"):
            return ()  # SELECT without columns is valid
        return self.target_list()

    def target_list(self) -> tuple[Target, ...]:
        """Take the items of SELECT or RETURNING."""
        targets = [self._target()]
        while self.accept_symbol(","):
            targets.append(self._target())
        return tuple(targets)

    def _target(self) -> Target:
        position = self.position
        if self.peek_symbol("*"):
            self.advance()
            return Target(Star((), position), None, position)
        expr = self.expression()
        alias = None
        if (
            self.accept("as")
            or self.token.kind is TokenKind.QUOTED
            or (
                self.token.kind is TokenKind.WORD
                and self.token.value not in NEEDS_AS
                and not self._ends_target()
            )
        ):
            alias = self.label()
        return Target(expr, alias, position)

    def _ends_target(self) -> bool:
        """Whether a reserved word comes next that ends a target list."""
        return self.peek_any("into", "except", "intersect", "window", "collate")

    def _group_items(self) -> tuple[GroupItem, ...]:
        items = [self._group_item()]
        while self.accept_symbol(","):
            items.append(self._group_item())
        return tuple(items)

    def _group_item(self) -> GroupItem:
        position = self.position
        if self.peek_any("rollup", "cube") and self.look().value == "(":
            kind = self.advance().value
            return GroupItem(kind, self._group_lists(), position=position)
        if self.accept("grouping", "sets"):
            self.expect_symbol("(")
            items = self._group_items()
            self.expect_symbol(")")
            return GroupItem("sets", items=items, position=position)
        if self.peek_symbol("(") and self.look().value == ")":
            self.at += 2
            return GroupItem("empty", position=position)
        expr = self.expression()
        exprs = expr.items if isinstance(expr, RowOf) else (expr,)
        return GroupItem("expr", (exprs,), position=position)

    def _group_lists(self) -> tuple[tuple[Expr, ...], ...]:
        self.expect_symbol("(")
        lists = [self.expression()]
        while self.accept_symbol(","):
            lists.append(self.expression())
        self.expect_symbol(")")
        return tuple(e.items if isinstance(e, RowOf) else (e,) for e in lists)

    def _windows(self) -> tuple[WindowSpec, ...]:
        windows = [self._window()]
        while self.accept_symbol(","):
            windows.append(self._window())
        return tuple(windows)

    def _window(self) -> WindowSpec:
        name = self.identifier()
        self.expect("as")
        return self.window_spec(name)

    # What follows the body

    def _tail(self, query: Query, with_: WithClause | None, position: int) -> Query:
        """Add ORDER BY, LIMIT and locking to a body."""
        if with_ is None and not self.peek_any(*_TAIL):
            return query
        order_by = self.order_by() if self.accept("order") else ()
        limit, offset, ties = self._limits()
        locking = self._locking()
        if not locking and self.peek_any("limit", "offset", "fetch"):
            raise self.error()
        limit_late, offset_late, ties_late = self._limits() if locking else (None, None, False)
        if query.order_by and order_by:
            raise SqlSyntaxError("multiple ORDER BY clauses not allowed", position=position)
        if query.limit is not None and limit is not None:
            raise SqlSyntaxError("multiple LIMIT clauses not allowed", position=position)
        if query.with_ is not None and with_ is not None:
            raise SqlSyntaxError("multiple WITH clauses not allowed", position=position)
        is_limited = query.limit is not None or query.offset is not None
        if is_limited and (order_by or locking):
            raise FeatureNotSupported(
                "ORDER BY or locking around a parenthesized query with LIMIT is not supported",
                position=position,
            )
        return Query(
            query.body,
            with_ or query.with_,
            order_by or query.order_by,
            limit or limit_late or query.limit,
            offset or offset_late or query.offset,
            ties or ties_late or query.with_ties,
            locking + query.locking,
            position,
        )

    def order_by(self) -> tuple[SortItem, ...]:
        """Take BY and what follows it."""
        self.expect("by")
        return self.sort_items()

    def _limits(self) -> tuple[Expr | None, Expr | None, bool]:
        limit: Expr | None = None
        offset: Expr | None = None
        ties = has_limit = False
        while word := self.accept_any("limit", "offset", "fetch"):
            if (word == "offset" and offset is not None) or (word != "offset" and has_limit):
                raise self.error(self.tokens[self.at - 1])
            if word == "offset":
                offset = self.expression()
                self.accept_any("row", "rows")
                continue
            has_limit = True
            if word == "fetch":
                limit, ties = self._fetch()
            else:
                limit = None if self.accept("all") else self.expression()
                if self.peek_symbol(","):
                    raise SqlSyntaxError(
                        "LIMIT #,# syntax is not supported",
                        hint="Use separate LIMIT and OFFSET clauses.",
                        position=self.position,
                    )
        return limit, offset, ties

    def _fetch(self) -> tuple[Expr, bool]:
        self.expect_any("first", "next")
        limit: Expr = Literal("integer", "1")
        if not self.peek_any("row", "rows"):
            limit = self.expression()
        self.expect_any("row", "rows")
        if self.accept("with", "ties"):
            return limit, True
        self.expect("only")
        return limit, False

    def _locking(self) -> tuple[Locking, ...]:
        clauses = []
        while self.peek("for") and not self.peek("for", "read"):
            position = self.advance().position
            if self.accept("no", "key"):
                self.expect("update")
                strength = "no key update"
            elif self.accept("key"):
                self.expect("share")
                strength = "key share"
            else:
                strength = self.expect_any("update", "share")
            tables: list[str] = []
            if self.accept("of"):
                tables.append(self.qualified_name()[-1])
                while self.accept_symbol(","):
                    tables.append(self.qualified_name()[-1])
            clauses.append(Locking(strength, self._lock_wait(), tuple(tables), position))
        self.accept("for", "read", "only")
        return tuple(clauses)

    def _lock_wait(self) -> str:
        if self.accept("nowait"):
            return "nowait"
        if self.accept("skip", "locked"):
            return "skip"
        return "block"
