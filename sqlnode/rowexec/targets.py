"""The rows that UPDATE and DELETE change: found, locked, looked at again.

Over one table rows are found, locked and checked again here, however many. With FROM or USING, or a
subquery in WHERE, the source is any query and its rows are locked afterwards (joined_targets.py).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Columns, Filter, Plan, Scan
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.conditions import conjuncts
from sqlnode.rowexec.dml_source import SourceCompiler, source_context
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.joined_targets import JoinedTargets
from sqlnode.rowexec.node import BATCH_ROWS, Node, Run
from sqlnode.rowexec.node import Batches as NodeBatches
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_compiler import with_all_columns
from sqlnode.rowexec.row_locks import (
    EXCLUSIVE,
    LockedRows,
    PointLocks,
    change_mode,
    is_lockable_point,
)
from sqlnode.rowexec.sources import TableScan
from sqlnode.rowexec.table_codec import codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

Batches = AsyncIterator[list[Any]]


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
    return JoinedTargets(table, row_columns, source, mode, (catalog, compiler))


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
