"""What a DDL statement works with: the catalog being edited, and SQL run inside its transaction."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvapi.spans import Span
from pgwire.sql_error import SqlError
from sqlnode.catalog.descriptors import ColumnDesc, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import CatalogEditor
from sqlnode.context import ExecContext
from sqlnode.jobs.record import JobKind
from sqlnode.plan.logical import Columns
from sqlnode.rowexec.table_codec import codec_of


class InnerSql(Protocol):
    """SQL run on behalf of a statement: same transaction, the catalog as edited so far."""

    def describe(self, sql: str, catalog: Catalog) -> tuple[Columns, tuple[int, ...]]:
        """Return a query's output columns and the ids of the relations it reads."""
        ...

    async def query(self, sql: str, catalog: Catalog) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        ...

    def row_function(
        self, expressions: Sequence[tuple[str, ColumnDesc]], table: TableDesc, catalog: Catalog
    ) -> Callable[[tuple[Any, ...]], Awaitable[tuple[Any, ...]]]:
        """Return a function from a full row to SQL expressions over it, cast to their columns."""
        ...

    async def execute(self, sql: str, catalog: Catalog) -> int:
        """Run a DML statement; return its row count."""
        ...


@dataclass(frozen=True, slots=True)
class OnlineChange:
    """What is left to a job: the statement has only begun it."""

    kind: JobKind
    table_id: int
    part: int  # as JobRecord.part
    step: str


@dataclass(slots=True)
class DdlContext:
    """One DDL statement's surroundings."""

    editor: CatalogEditor
    exec: ExecContext
    inner: InnerSql
    text: str = ""  # the statement
    # Tells whether a span has rows, without a trace in the transaction; None: the statement is not
    # a transaction of its own and one change, so nothing goes online.
    has_rows: Callable[[Span], Awaitable[bool]] | None = None
    change: OnlineChange | None = None
    let_go: Callable[[], None] = lambda: None  # of what keeps other changes of the schema waiting
    recomputed: set[int] = field(default_factory=set)  # attnums whose type ALTER TABLE has changed

    @contextmanager
    def reading(self, fragment: str) -> Iterator[None]:
        """Move the positions of errors in a part of the statement to where that part stands."""
        try:
            yield
        except SqlError as error:
            if error.position is not None:
                start = self.text.find(fragment)
                is_found = start >= 0 and self.text.find(fragment, start + 1) < 0
                error.position = start + error.position if is_found else None
            raise

    @property
    def search_path(self) -> tuple[str, ...]:
        return self.exec.session.search_path

    @property
    def user(self) -> str:
        return self.exec.session.user

    async def goes_online(self, table: TableDesc) -> bool:
        """Tell whether a change that looks at every row of a table is left to a job.

        On an empty table it is done at once; that nobody fills it meanwhile is validated.
        """
        if self.has_rows is None:
            return False
        span = codec_of(table).span
        self.exec.txn.used.add(frozenset((table.id,)))
        if await self.has_rows(span):
            return True
        async with aclosing(self.exec.txn.scan_blocks(span, limit_rows=1)) as rows:
            async for _ in rows:
                return True
        return False

    def begin_scan(self) -> None:
        """Say that rows will be read, however many: others change the schema meanwhile."""
        self.let_go()

    def notice(self, message: str) -> None:
        """Tell the client something that is no error."""
        self.exec.notice("NOTICE", message)

    def table(self, table_id: int) -> TableDesc:
        """Return a table as edited so far."""
        found = self.editor.catalog.by_id[table_id]
        assert isinstance(found, TableDesc), f"descriptor {table_id} is no table"
        return found


def quote_identifier(name: str) -> str:
    """Quote always: generated SQL need not be pretty.

    >>> quote_identifier('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def qualified(context: DdlContext, table: TableDesc) -> str:
    """Return a table's fully qualified, quoted name."""
    schema = context.editor.catalog.by_id[table.schema_id]
    return f"{quote_identifier(schema.name)}.{quote_identifier(table.name)}"
