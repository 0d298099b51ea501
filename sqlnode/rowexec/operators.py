"""Operators over one input: filter, project, sort, limit."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import InvalidRowCountInLimitClause, InvalidRowCountInResultOffsetClause
from sqlnode import types
from sqlnode.functions.comparison import interval_span
from sqlnode.plan.logical import Limit, Project
from sqlnode.plan.scalar import Scalar, SortKey
from sqlnode.rowexec.evals import Eval, Layout, Row
from sqlnode.rowexec.node import Batches, Node, Run, single_batch
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_row, compile_scalar
from sqlnode.rowexec.sources import positions

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class FilterRows:
    """Rows for which the condition is true."""

    def __init__(self, source: Node, condition: Scalar) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._condition = compile_scalar(condition, source.layout)

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield matching rows."""
        condition, ctx = self._condition, run.ctx
        async with aclosing(self._source.batches(run)) as batches:
            async for rows in batches:
                yield [row for row in rows if condition(row, ctx) is True]


class ProjectRows:
    """One scalar for each output column."""

    def __init__(self, source: Node, plan: Project) -> None:
        self.layout = positions(plan.columns)
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._row = compile_row(plan.scalars, source.layout)
        self._input = single_batch(source)
        self.single = None if self._input is None else self._single

    async def _single(self, run: Run) -> list[Any]:
        """Return all computed rows of an input that gives all of its own at once."""
        assert self._input is not None, "or it is not called"
        compute, ctx = self._row, run.ctx
        return [compute(row, ctx) for row in await self._input(run)]

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield computed rows."""
        compute, ctx = self._row, run.ctx
        async with aclosing(self._source.batches(run, limit)) as batches:
            async for rows in batches:
                yield [compute(row, ctx) for row in rows]


_PLAIN_ORDER: Final = frozenset(
    t.oid
    for t in (
        types.BOOL, types.BYTEA, types.NAME, types.INT8, types.INT2, types.INT4, types.TEXT,
        types.OID, types.VARCHAR, types.DATE, types.TIME, types.TIMESTAMP, types.TIMESTAMPTZ,
        types.UUID,
    )
)  # fmt: skip


def order_key(type_oid: int) -> Callable[[Any], Any] | None:
    """Return what to compare datums of a type by, None if themselves. Raises: NotRowShape."""
    if type_oid in _PLAIN_ORDER:
        return None
    if type_oid in (types.FLOAT4.oid, types.FLOAT8.oid):
        return lambda value: (1, 0.0) if value != value else (0, value)
    if type_oid == types.NUMERIC.oid:
        return lambda value: (1, 0) if value.is_nan() else (0, value)
    if type_oid == types.BPCHAR.oid:
        return lambda value: value.rstrip(" ")
    if type_oid == types.INTERVAL.oid:
        return interval_span
    raise NotRowShape(f"order of type {type_oid}")


SortBy = Callable[[list[Row], "ExecContext"], None]


def compile_sort(keys: Sequence[SortKey], layout: Layout) -> SortBy:
    """Return a function that sorts a list of rows in place. Raises: NotRowShape."""
    compiled = [_sort_key(key, layout) for key in reversed(keys)]

    def sort(rows: list[Row], ctx: "ExecContext") -> None:
        for of_row, descending in compiled:  # the last key first; each pass is stable
            rows.sort(key=lambda row: of_row(row, ctx), reverse=descending)

    return sort


def _sort_key(key: SortKey, layout: Layout) -> tuple[Eval, bool]:
    value, order = compile_scalar(key.scalar, layout), order_key(key.scalar.type.oid)
    null_rank = 1 if key.nulls_first == key.descending else 0
    null, rank = (null_rank,), 1 - null_rank

    def of_row(row: Row, ctx: "ExecContext") -> tuple[Any, ...]:
        datum = value(row, ctx)
        if datum is None:
            return null
        return (rank, datum if order is None else order(datum))

    return of_row, key.descending


class SortRows:
    """All rows of the input, sorted."""

    def __init__(self, source: Node, keys: Sequence[SortKey]) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._sort = compile_sort(keys, source.layout)

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield one batch."""
        everything: list[Row] = []
        async with aclosing(self._source.batches(run)) as batches:
            async for rows in batches:
                everything += rows
        self._sort(everything, run.ctx)
        yield everything


class DistinctRows:
    """The first row of each set of equal rows, or of equal keys (DISTINCT ON)."""

    def __init__(self, source: Node, keys: Sequence[Scalar]) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._keys = compile_row(keys, source.layout)
        self._equal_by = [order_key(key.type.oid) for key in keys]

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield rows whose key was not met before."""
        seen: set[Any] = set()
        keys, equal_by = self._keys, self._equal_by
        async with aclosing(self._source.batches(run)) as batches:
            async for rows in batches:
                fresh = []
                for row in rows:
                    key = tuple(
                        datum if by is None or datum is None else by(datum)
                        for datum, by in zip(keys(row, run.ctx), equal_by, strict=True)
                    )
                    if key not in seen:
                        seen.add(key)
                        fresh.append(row)
                yield fresh


class LimitRows:
    """LIMIT and OFFSET."""

    def __init__(self, source: Node, plan: Limit) -> None:
        if plan.with_ties:
            raise NotRowShape("WITH TIES")
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._count = compile_scalar(plan.count, {}) if plan.count is not None else None
        self._offset = compile_scalar(plan.offset, {}) if plan.offset is not None else None

    def bounds(self, ctx: "ExecContext") -> tuple[int, int | None]:
        """Return (offset, count); count None is all. Raises: 2201W, 2201X."""
        count = self._count((), ctx) if self._count else None
        offset = (self._offset((), ctx) if self._offset else None) or 0
        if count is not None and count < 0:
            raise InvalidRowCountInLimitClause("LIMIT must not be negative")
        if offset < 0:
            raise InvalidRowCountInResultOffsetClause("OFFSET must not be negative")
        return offset, count

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield the rows between the bounds, and read no more than needed."""
        offset, count = self.bounds(run.ctx)
        if count == 0:
            return
        wanted = 0 if count is None else offset + count
        async with aclosing(self._source.batches(run, wanted)) as batches:
            async for rows in batches:
                skipped = min(offset, len(rows))
                offset -= skipped
                rows = rows[skipped:] if skipped else rows
                if count is not None:
                    rows = rows[:count]
                    count -= len(rows)
                if rows:
                    yield rows
                if count == 0:
                    return
