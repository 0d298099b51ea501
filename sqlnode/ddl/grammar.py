"""DDL statements from tokens: CREATE, ALTER, DROP, TRUNCATE and COMMENT.

**Model.** Recursive descent over the statement's tokens. What PostgreSQL has and Insula has not is
refused by name (0A000), never skipped; storage parameters and the like, which change no result, are
accepted and ignored.

Source: PostgreSQL, src/backend/parser/gram.y.
"""

from typing import Final

from pgwire.errors import FeatureNotSupported
from sqlnode.ddl.grammar_alter import AlterParser
from sqlnode.ddl.nodes import (
    ColumnDef,
    CommentOn,
    Constraint,
    CreateIndex,
    CreateSchema,
    CreateSequence,
    CreateTable,
    CreateView,
    Ddl,
    Drop,
    IndexItem,
    LikeClause,
    Truncate,
)

_OTHER_OBJECTS: Final = [
    "access",
    "aggregate",
    "cast",
    "collation",
    "conversion",
    "database",
    "domain",
    "event",
    "extension",
    "foreign",
    "function",
    "group",
    "language",
    "materialized",
    "operator",
    "policy",
    "procedure",
    "publication",
    "role",
    "routine",
    "rule",
    "server",
    "statistics",
    "subscription",
    "tablespace",
    "text",
    "transform",
    "trigger",
    "type",
    "user",
]
_DROPPABLE: Final = ("table", "view", "index", "sequence", "schema")
_LIKE_PARTS: Final = [
    "comments",
    "compression",
    "constraints",
    "defaults",
    "generated",
    "identity",
    "indexes",
    "statistics",
    "storage",
    "all",
]


class DdlParser(AlterParser):
    """One DDL statement."""

    def statement(self) -> Ddl:
        """Take the whole statement. Raises: SqlSyntaxError, FeatureNotSupported."""
        handlers = {
            "create": self._create,
            "alter": self.alter,
            "drop": self._drop,
            "truncate": self._truncate,
            "comment": self._comment,
        }
        node = handlers[self.expect_any(*handlers)]()
        self.expect_end()
        return node

    def _refuse_object(self, verb: str) -> FeatureNotSupported:
        token = self.token
        if token.value in _OTHER_OBJECTS:
            return FeatureNotSupported(
                f"{verb} {token.value.upper()} is not supported", position=self.position
            )
        raise self.error()

    # CREATE

    def _create(self) -> Ddl:
        if self.accept("or", "replace"):
            if self.accept_any("temporary", "temp"):
                raise self.unsupported("a temporary view")
            if not self.accept("view"):
                raise self._refuse_object("CREATE OR REPLACE")
            return self._create_view(or_replace=True)
        self.accept_any("global", "local")
        if self.accept_any("temporary", "temp"):
            raise self.unsupported("a temporary table, view or sequence")
        if self.accept("unlogged"):
            raise self.unsupported("an unlogged table")
        if self.accept("table"):
            return self._create_table()
        if self.accept("unique"):
            self.expect("index")
            return self._create_index(unique=True)
        if self.accept("index"):
            return self._create_index(unique=False)
        if self.accept("view"):
            return self._create_view(or_replace=False)
        return self._create_other()

    def _create_other(self) -> Ddl:
        if self.accept("recursive", "view"):
            raise self.unsupported("CREATE RECURSIVE VIEW")
        if self.accept("sequence"):
            missing_ok = self._if_not_exists()
            return CreateSequence(self.name(), self.sequence_options(), missing_ok)
        if self.accept("schema"):
            return self._create_schema()
        raise self._refuse_object("CREATE")

    def _if_not_exists(self) -> bool:
        return self.accept("if", "not", "exists")

    def _create_table(self) -> CreateTable:
        if_not_exists = self._if_not_exists()
        name = self.name()
        self.table_name = name.name
        if self.accept("of") or self.accept("partition"):
            raise self.unsupported("a typed or partitioned table")
        if self.peek("as") or self.peek("with") or self.peek("tablespace"):
            return self._table_as(name, if_not_exists, ())
        if self._is_name_list():
            return self._table_as(name, if_not_exists, self.identifier_list())
        columns: list[ColumnDef] = []
        constraints: list[Constraint] = []
        likes: list[LikeClause] = []
        self.expect_symbol("(")
        while not self.accept_symbol(")"):
            if columns or constraints or likes:
                self.expect_symbol(",")
            if self.accept("like"):
                likes.append(self._like_clause())
            elif (constraint := self.table_constraint()) is not None:
                constraints.append(constraint)
            else:
                columns.append(self.column_definition())
        self._table_options()
        return CreateTable(name, tuple(columns), tuple(constraints), tuple(likes), if_not_exists)

    def _is_name_list(self) -> bool:
        """Tell `(a, b) AS SELECT …` from column definitions."""
        ahead = 2
        return self.peek_symbol("(") and self.look(ahead).value in (",", ")")

    def _table_as(
        self, name: object, if_not_exists: bool, column_names: tuple[str, ...]
    ) -> CreateTable:
        self._table_options()
        self.expect("as")
        mark = self.at
        self.query()
        query = self.text_since(mark)
        with_data = True
        if self.accept("with"):
            with_data = not self.accept("no")
            self.expect("data")
        return CreateTable(
            name,  # type: ignore[arg-type]  # a Name; typed as object to keep the call sites short
            if_not_exists=if_not_exists,
            query=query,
            column_names=column_names,
            with_data=with_data,
        )

    def _like_clause(self) -> LikeClause:
        table = self.name()
        including: set[str] = set()
        while (word := self.accept_any("including", "excluding")) is not None:
            part = self.expect_any(*_LIKE_PARTS)
            parts = set(_LIKE_PARTS) if part == "all" else {part}
            including = including | parts if word == "including" else including - parts
        return LikeClause(table, frozenset(including))

    def _table_options(self) -> None:
        if self.accept("inherits"):
            raise self.unsupported("table inheritance")
        if self.accept("partition"):
            raise self.unsupported("table partitioning")
        if self.accept("using"):
            self.identifier()
        if self.accept("with"):
            self.skip_parenthesized()
        elif self.accept("without", "oids"):
            pass
        if self.accept("on", "commit"):
            raise self.unsupported("ON COMMIT without a temporary table")
        if self.accept("tablespace"):
            self.identifier()

    def _create_index(self, *, unique: bool) -> CreateIndex:
        concurrently = self.accept("concurrently")
        if_not_exists = self._if_not_exists()
        name = None if self.peek("on") else self.identifier()
        self.expect("on")
        self.accept("only")
        table = self.name()
        if self.accept("using"):
            method = self.identifier()
            if method != "btree":
                raise FeatureNotSupported(f'access method "{method}" is not supported')
        self.expect_symbol("(")
        items = [self._index_item()]
        while self.accept_symbol(","):
            items.append(self._index_item())
        self.expect_symbol(")")
        self._index_tail()
        return CreateIndex(table, tuple(items), name, unique, if_not_exists, concurrently)

    def _index_item(self) -> IndexItem:
        if self.peek_symbol("(") or self.look().value == "(":
            raise self.unsupported("an index on an expression")
        column = self.identifier()
        if self.accept("collate"):
            self.qualified_name()
        if self.peek_identifier() and not self.peek_any("asc", "desc", "nulls"):
            self.qualified_name()  # an operator class; there is one order for each type
        descending = self.accept_any("asc", "desc") == "desc"
        nulls_first = None
        if self.accept("nulls"):
            nulls_first = self.expect_any("first", "last") == "first"
        return IndexItem(column, descending, nulls_first)

    def _index_tail(self) -> None:
        if self.accept("include"):
            raise self.unsupported("INCLUDE columns of an index")
        if self.peek("nulls"):
            raise self.unsupported("NULLS [NOT] DISTINCT")
        if self.accept("with"):
            self.skip_parenthesized()
        if self.accept("tablespace"):
            self.identifier()
        if self.peek("where"):
            raise self.unsupported("a partial index")

    def _create_view(self, *, or_replace: bool) -> CreateView:
        name = self.name()
        column_names = self.identifier_list() if self.peek_symbol("(") else ()
        if self.accept("with"):
            self.skip_parenthesized()
        self.expect("as")
        mark = self.at
        self.query()
        query = self.text_since(mark)
        if self.peek("with"):
            raise self.unsupported("WITH CHECK OPTION")
        return CreateView(name, query, column_names, or_replace)

    def _create_schema(self) -> CreateSchema:
        if_not_exists = self._if_not_exists()
        name = None if self.peek("authorization") else self.identifier()
        if self.accept("authorization"):
            owner = self.identifier()
            name = name or owner
        if not self.at_end and not self.peek_symbol(";"):
            raise self.unsupported("CREATE SCHEMA with schema elements")
        assert name is not None, "either branch set it"
        return CreateSchema(name, if_not_exists)

    # DROP, TRUNCATE, COMMENT

    def _drop(self) -> Drop:
        if self.peek("owned"):
            raise self.unsupported("DROP OWNED")
        if (kind := self.accept_any(*_DROPPABLE)) is None:
            raise self._refuse_object("DROP")
        self.accept("concurrently")
        if_exists = self.accept("if", "exists")
        names = [self.name()]
        while self.accept_symbol(","):
            names.append(self.name())
        return Drop(kind, tuple(names), if_exists, self.cascade())

    def _truncate(self) -> Truncate:
        self.accept("table")
        self.accept("only")
        names = [self.name()]
        while self.accept_symbol(","):
            names.append(self.name())
        restart = self.accept_any("restart", "continue")
        if restart is not None:
            self.expect("identity")
        return Truncate(tuple(names), restart == "restart", self.cascade())

    def _comment(self) -> CommentOn:
        self.expect("on")
        if not self.accept("table"):
            kind = self.token.value.upper()
            raise FeatureNotSupported(f"COMMENT ON {kind} is not supported")
        table = self.name()
        self.expect("is")
        return CommentOn(table, None if self.accept("null") else self.string())


def parse_ddl(text: str) -> Ddl:
    """Parse one DDL statement. Raises: SqlSyntaxError, FeatureNotSupported."""
    return DdlParser(text).statement()
