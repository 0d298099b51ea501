"""Where the rows of a DML statement come from: rowexec if it can, else vecexec.

**Model.** Rows come as they are read: a source may be larger than memory. So that a statement never
reads what it wrote itself (an index entry it moved would come up again), sources read through
`source_context`, the transaction as the statement found it.

UPDATE and DELETE over one table find, lock and re-check rows here, however many. With
FROM or USING the source is any query; its rows are locked afterwards, and if one of them has
changed since the snapshot the statement runs again at a newer one: it holds those rows by then.
"""

import copy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from kvapi.errors import WriteConflict
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Columns, Filter, Plan, Scan, walk_plans
from sqlnode.plan.scalar import Scalar
from sqlnode.plan.statement import Query
from sqlnode.rowexec.conditions import conjuncts
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.node import BATCH_ROWS, Node, Run
from sqlnode.rowexec.node import Batches as NodeBatches
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_compiler import with_all_columns
from sqlnode.rowexec.query import Executable, compile_query
from sqlnode.rowexec.row_locks import (
    EXCLUSIVE,
    ROW_CHANGED,
    LockedRows,
    PointLocks,
    RowLocker,
    RowLockMode,
    change_mode,
    is_lockable_point,
)
from sqlnode.rowexec.sources import TableScan
from sqlnode.rowexec.table_codec import codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

SourceCompiler = Callable[[Query], Executable]
Batches = AsyncIterator[list[Any]]


def compile_source(plan: Plan, catalog: Catalog, compiler: SourceCompiler) -> Executable:
    """Compile a source whose rows are just its columns."""
    query = Query(plan, plan.columns)
    try:
        return compile_query(query, catalog, lambda: compiler(query))
    except NotRowShape:
        return compiler(query)


def reads_tables(plan: Plan) -> bool:
    """Tell whether a plan reads stored rows as it goes; what vecexec runs reads them first."""
    return any(isinstance(part, Scan) for part in walk_plans(plan))


def source_context(ctx: "ExecContext") -> "ExecContext":
    """Return a context whose reads do not see what the statement writes from now on."""
    made = copy.copy(ctx)
    made.txn = ctx.txn.as_statement_began()
    return made


class Targets(Protocol):
    """Rows to change: locked, newest, each once. A row begins with the full row of the table."""

    layout: dict[int, int]

    def batches(self, ctx: "ExecContext") -> Batches:
        """Yield batches of at most BATCH_ROWS rows."""
        ...


def compile_targets(
    table: TableDesc,
    source: Plan,
    row_columns: Columns,
    catalog: Catalog,
    compiler: SourceCompiler,
    *,
    assigned: frozenset[int] = frozenset(),
) -> Targets:
    """Compile the source of UPDATE or DELETE. `assigned`: attnums that change."""
    found = _single_table(source)
    if found is not None:
        try:
            return TableTargets(found[0], found[1], row_columns, assigned)
        except NotRowShape:  # a subquery in WHERE
            pass
    mode = change_mode(table, assigned) if assigned else EXCLUSIVE
    executable = compile_source(source, catalog, compiler)
    return JoinedTargets(table, row_columns, source, executable, mode)


def _single_table(source: Plan) -> tuple[Scan, tuple[Scalar, ...]] | None:
    condition: tuple[Scalar, ...] = ()
    while isinstance(source, Filter):
        condition = (*conjuncts(source.condition), *condition)
        source = source.input
    return (source, condition) if isinstance(source, Scan) else None


class TableTargets:
    """Rows of one table that meet a condition."""

    def __init__(
        self,
        scan: Scan,
        condition: Sequence[Scalar],
        row_columns: Columns,
        assigned: frozenset[int],
    ) -> None:
        scan = with_all_columns(scan)
        codec = codec_of(scan.table)
        mode = change_mode(scan.table, assigned) if assigned else EXCLUSIVE
        if is_lockable_point(scan, condition):
            self._node: PointLocks | LockedRows = PointLocks(scan, condition, mode)
        else:
            found = TableScan(scan, condition, (), has_limit=False)
            self._node = LockedRows(_EvenBatches(found), scan, condition, mode)
        self.layout = dict(self._node.layout)
        for n, column in enumerate(row_columns):
            self.layout[column.id] = codec.position_of.get(column.attnum, n)

    async def batches(self, ctx: "ExecContext") -> Batches:
        """Yield locked rows."""
        if isinstance(self._node, PointLocks):  # one batch
            yield await self._node.single(Run(ctx))
            return
        # A row whose key in the scanned index changes is not met again further on.
        run = Run(source_context(ctx))
        async with aclosing(self._node.batches(run)) as batches:
            async for rows in batches:
                yield rows


class _EvenBatches:
    """Batches of just BATCH_ROWS: rows of one batch may exchange keys, wherever blocks end."""

    def __init__(self, source: Node) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source

    async def batches(self, run: Run, limit: int = 0) -> NodeBatches:
        """Yield the source's rows."""
        found: list[Row] = []
        async with aclosing(self._source.batches(run, limit)) as batches:
            async for rows in batches:
                found += rows
                while len(found) >= BATCH_ROWS:
                    yield found[:BATCH_ROWS]
                    del found[:BATCH_ROWS]
        if found:
            yield found


class JoinedTargets:
    """Rows that a query found: the target's columns, then those of FROM or USING."""

    def __init__(
        self,
        table: TableDesc,
        row_columns: Columns,
        source: Plan,
        executable: Executable,
        mode: RowLockMode,
    ) -> None:
        codec = codec_of(table)
        self._codec = codec
        self._executable = executable
        self._locker = RowLocker(codec, mode)
        place = {column.id: n for n, column in enumerate(source.columns)}
        by_attnum = {
            column.attnum or codec.attnums[n]: place[column.id]
            for n, column in enumerate(row_columns)
        }
        missing = [a for a in codec.attnums if a not in by_attnum]
        assert not missing, f"the source of a change gives every column, not {missing}"
        own = [by_attnum[attnum] for attnum in codec.attnums]
        rest = [n for n in range(len(source.columns)) if n not in set(own)]
        self._order = own + rest
        self._is_ordered = self._order == list(range(len(self._order)))
        new_place = {old: new for new, old in enumerate(self._order)}
        self.layout = {column_id: new_place[n] for column_id, n in place.items()}

    async def batches(self, ctx: "ExecContext") -> Batches:
        """Yield locked rows; of several matches for one row the first counts."""
        seen: set[bytes] = set()
        found: list[Row] = []
        async for rows in self._executable.run(source_context(ctx)):
            for row in rows:
                ordered = row if self._is_ordered else tuple([row[n] for n in self._order])
                key = self._codec.row_key(ordered)
                if key not in seen:
                    seen.add(key)
                    found.append(ordered)
            while len(found) >= BATCH_ROWS:
                part, found = found[:BATCH_ROWS], found[BATCH_ROWS:]
                yield await self._locker.lock(part, ctx, _refuse_changed)
        if found:
            yield await self._locker.lock(found, ctx, _refuse_changed)


def _refuse_changed(_row: Row, _ctx: "ExecContext") -> bool:
    raise WriteConflict(ROW_CHANGED)  # the statement runs again, and holds the row already
