"""INSERT, UPDATE, DELETE.

**Source.** gram.y `InsertStmt`, `UpdateStmt`, `DeleteStmt`, `set_clause`, `opt_on_conflict`.
"""

from pgwire.errors import FeatureNotSupported
from sqlnode.parse.query import QueryParser
from sqlnode.parse.query_syntax import (
    ColumnTarget,
    ConflictClause,
    DeleteSyntax,
    InsertSyntax,
    Planned,
    Query,
    SetClause,
    TableRef,
    Target,
    UpdateSyntax,
    WithClause,
)
from sqlnode.parse.syntax import Expr, RowOf


class DmlParser(QueryParser):
    """Adds data changes to the cursor: the parser of everything that is planned."""

    def planned_statement(self) -> Planned:
        """Take a query or a data change, WITH included."""
        if not self.peek("with"):
            return self._change(None) or self.query()
        mark = self.at
        with_ = self.with_clause()
        changed = self._change(with_)
        if changed is not None:
            return changed
        self.at = mark
        return self.query()

    def _change(self, with_: WithClause | None) -> Planned | None:
        if self.peek("insert"):
            return self._insert(with_)
        if self.peek("update"):
            return self._update(with_)
        if self.peek("delete"):
            return self._delete(with_)
        if self.peek("merge"):
            raise self.unsupported("MERGE")
        return None

    def _insert(self, with_: WithClause | None) -> InsertSyntax:
        position = self.advance().position
        self.expect("into")
        at = self.position
        name = self.qualified_name()
        target = TableRef(name, self.alias() if self.peek("as") else None, at)
        columns = self._insert_columns()
        overriding = ""
        if self.accept("overriding"):
            overriding = self.expect_any("user", "system")
            self.expect("value")
        source: Query | None = None
        if not self.accept("default", "values"):
            source = self.query()
        conflict = self._conflict() if self.peek("on", "conflict") else None
        return InsertSyntax(
            target, columns, source, overriding, conflict, self._returning(), with_, position
        )

    def _insert_columns(self) -> tuple[ColumnTarget, ...] | None:
        """Take `(a, b)` unless the parenthesis begins the source query."""
        if not self.peek_symbol("("):
            return None
        if self.look().value in ("select", "values", "with", "table", "("):
            return None
        self.advance()
        columns = [self._column_target()]
        while self.accept_symbol(","):
            columns.append(self._column_target())
        self.expect_symbol(")")
        return tuple(columns)

    def _column_target(self) -> ColumnTarget:
        position = self.position
        name = self.identifier()
        if self.peek_symbol("[", "."):
            raise FeatureNotSupported(
                "assignment to an array element or a field is not supported", position=self.position
            )
        return ColumnTarget(name, position)

    def _conflict(self) -> ConflictClause:
        position = self.position
        self.expect("on", "conflict")
        exprs: list[Expr] = []
        where = constraint = None
        if self.accept_symbol("("):
            exprs.append(self._arbiter())
            while self.accept_symbol(","):
                exprs.append(self._arbiter())
            self.expect_symbol(")")
            where = self.expression() if self.accept("where") else None
        elif self.accept("on", "constraint"):
            constraint = self.identifier()
        self.expect("do")
        if self.accept("nothing"):
            return ConflictClause(tuple(exprs), where, constraint, None, None, position)
        self.expect("update", "set")
        sets = self._set_clauses()
        update_where = self.expression() if self.accept("where") else None
        return ConflictClause(tuple(exprs), where, constraint, sets, update_where, position)

    def _arbiter(self) -> Expr:
        expr = self.expression()
        if self.peek_identifier():
            raise self.unsupported("an operator class in ON CONFLICT")
        return expr

    def _set_clauses(self) -> tuple[SetClause, ...]:
        sets = [self._set_clause()]
        while self.accept_symbol(","):
            sets.append(self._set_clause())
        return tuple(sets)

    def _set_clause(self) -> SetClause:
        position = self.position
        if not self.accept_symbol("("):
            column = self._column_target()
            self.expect_symbol("=")
            return SetClause((column,), self.expression(), False, position)
        columns = [self._column_target()]
        while self.accept_symbol(","):
            columns.append(self._column_target())
        self.expect_symbol(")")
        self.expect_symbol("=")
        value = self.expression()
        if len(columns) == 1 and not isinstance(value, RowOf):
            return SetClause(tuple(columns), value, False, position)
        return SetClause(tuple(columns), value, True, position)

    def _update(self, with_: WithClause | None) -> UpdateSyntax:
        position = self.advance().position
        self.is_update_target = True
        target = self.table_ref()
        self.is_update_target = False
        self.expect("set")
        sets = self._set_clauses()
        from_ = self.from_list() if self.accept("from") else ()
        where = self._change_where()
        return UpdateSyntax(target, sets, from_, where, self._returning(), with_, position)

    def _delete(self, with_: WithClause | None) -> DeleteSyntax:
        position = self.advance().position
        self.expect("from")
        target = self.table_ref()
        using = self.from_list() if self.accept("using") else ()
        where = self._change_where()
        return DeleteSyntax(target, using, where, self._returning(), with_, position)

    def _change_where(self) -> Expr | None:
        if not self.accept("where"):
            return None
        if self.peek("current", "of"):
            raise self.unsupported("WHERE CURRENT OF")
        return self.expression()

    def _returning(self) -> tuple[Target, ...]:
        return self.target_list() if self.accept("returning") else ()
