"""Locking rows: by key before they are read, or after, with a second look at what changed.

**Model.** A row that is locked has its newest value. Where the condition names whole primary keys
the lock comes first and nothing is read twice (so that contended rows queue up instead of
conflicting); READ COMMITTED does not wait for a row that the snapshot says is not meant. Otherwise
rows are found at the snapshot, locked, and those that have changed are checked against the
condition again.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvapi.client.lock_calls import LockMode, LockWait
from kvapi.client.results import SKIPPED, MultiGot
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.locked_rows import without
from sqlnode.plan.logical import LockRows, Scan
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.access_path import choose_path
from sqlnode.rowexec.conditions import conjunction
from sqlnode.rowexec.evals import Eval, Row
from sqlnode.rowexec.node import BATCH_ROWS, Batches, Node, Run
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.rowexec.sources import positions
from sqlnode.rowexec.table_codec import TableCodec, codec_of
from sqlnode.rowexec.table_reads import BoundTerms

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_MODES: Final[dict[str, LockMode]] = {
    "update": "exclusive",
    "no key update": "no key exclusive",
    "share": "shared",
    "key share": "key shared",
}
_WAITS: Final[dict[str, LockWait]] = {"block": "block", "nowait": "nowait", "skip": "skip"}


@dataclass(frozen=True, slots=True)
class RowLockMode:
    """Strength and waiting of SELECT … FOR."""

    mode: LockMode = "exclusive"
    wait: LockWait = "block"


ROW_CHANGED: Final = "could not serialize access due to concurrent update"
EXCLUSIVE: Final = RowLockMode()
NO_KEY_EXCLUSIVE: Final = RowLockMode("no key exclusive")


def lock_mode(strength: str, wait: str) -> RowLockMode:
    """Return the mode of a FOR clause."""
    return RowLockMode(_MODES[strength.lower()], _WAITS[wait])


def strongest_lock(clauses: Iterable[LockRows]) -> RowLockMode:
    """Return the mode of several FOR clauses on one table, the least patient of them.

    Source: PostgreSQL, src/backend/parser/analyze.c (applyLockingClause).
    """
    clauses = list(clauses)
    strength = min((c.strength.lower() for c in clauses), key=list(_MODES).index)
    wait = max((c.wait for c in clauses), key=("block", "skip", "nowait").index)
    return lock_mode(strength, wait)


def change_mode(table: TableDesc, assigned: Iterable[int]) -> RowLockMode:
    """Return how UPDATE locks: exclusively if a column changes that a foreign key may refer to.

    Source: PostgreSQL, src/backend/access/heap/heapam.c (HeapDetermineColumnsInfo).
    """
    unique = [index for index in (table.primary, *table.indexes) if index.unique or index.primary]
    keys = {column.attnum for index in unique for column in index.columns}
    return NO_KEY_EXCLUSIVE if keys.isdisjoint(assigned) else EXCLUSIVE


async def lock_keys(
    keys: list[bytes], mode: RowLockMode, ctx: "ExecContext", *, keep_absent: bool = False
) -> MultiGot:
    """Lock rows in the order given and return their newest values.

    A cursor leaves out, as skipped, what its own transaction has written since its DECLARE.
    Source: PostgreSQL, src/backend/executor/nodeLockRows.c (TM_SelfModified).
    """
    got = await ctx.txn.lock_rows(
        keys,
        wait=mode.wait,
        timeout_ms=lock_timeout_ms(ctx),
        mode=mode.mode,
        keep_absent=keep_absent,
    )
    if ctx.rows_wanted is not None and (written := await ctx.txn.written_since(keys)):
        return without(keys, got, written)
    return got


def lock_step(ctx: "ExecContext", wanted: int) -> int:
    """Return how many rows to lock together if `wanted` more are to come (0: all)."""
    return min(BATCH_ROWS, wanted or BATCH_ROWS, ctx.rows_wanted or BATCH_ROWS)


class PointLocks:
    """Rows named by whole primary keys: locked, then read, then filtered."""

    is_bounded = True
    is_full_scan = False

    def __init__(self, scan: Scan, condition: Sequence[Scalar], mode: RowLockMode) -> None:
        self.layout = positions(scan.columns)
        codec = codec_of(scan.table)
        path = choose_path(scan, condition, (), has_limit=False)
        assert path.is_point, "is_lockable_point was asked"
        assert path.index is codec.primary, "is_lockable_point was asked"
        self._terms = BoundTerms(path, {})
        self._decode = codec.reader([column.attnum for column in scan.columns]).decode
        residual = conjunction(path.residual)
        self._filter = compile_scalar(residual, self.layout) if residual is not None else None
        self._mode = mode

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield locked rows."""
        keys = self._terms.keys((), run.ctx)
        while keys:
            step = lock_step(run.ctx, 0)
            if rows := await self._locked(keys[:step], run.ctx):
                yield rows
            keys = keys[step:]

    async def single(self, run: Run) -> list[Row]:
        """Return all rows, locked."""
        keys = self._terms.keys((), run.ctx)
        return await self._locked(keys, run.ctx) if keys else []

    async def _locked(self, keys: list[bytes], ctx: "ExecContext") -> list[Row]:
        keep = self._filter
        if keep is not None and ctx.txn.isolation == "read committed":
            values = await self._lock_wanted(keys, keep, ctx)
        else:
            values = (await lock_keys(keys, self._mode, ctx)).values
        return self._rows(values, keep, ctx)

    def _rows(
        self, values: Iterable[bytes | None], keep: "Eval | None", ctx: "ExecContext"
    ) -> list[Row]:
        rows: list[Row] = [self._decode(value) for value in values if value is not None]
        return rows if keep is None else [row for row in rows if keep(row, ctx) is True]

    async def _lock_wanted(
        self, keys: list[bytes], keep: Eval, ctx: "ExecContext"
    ) -> list[bytes | None]:
        """Lock without waiting for rows that do not meet the condition in the snapshot.

        A single row that nobody holds is as in the snapshot, so that it costs one round trip.
        Several are not tried so: one held while waiting for an earlier one makes deadlocks.
        """
        if len(keys) == 1:
            tried = await lock_keys(keys, RowLockMode(self._mode.mode, "skip"), ctx)
            if tried.found[0] != SKIPPED or self._mode.wait == "skip":
                return tried.values
        before = await ctx.txn.multi_get(keys)
        wanted = [k for k, v in zip(keys, before, strict=True) if self._rows((v,), keep, ctx)]
        return (await lock_keys(wanted, self._mode, ctx)).values if wanted else []


def is_lockable_point(scan: Scan, condition: Sequence[Scalar]) -> bool:
    """Tell whether the condition names whole primary keys."""
    path = choose_path(scan, condition, (), has_limit=False)
    return path.is_point and path.index is codec_of(scan.table).primary


class LockedRows:
    """Rows of one table found by `source`, locked in the order of their arrival.

    Requires: the source's rows begin with the full row of `scan.table`.
    """

    def __init__(
        self, source: Node, scan: Scan, condition: Sequence[Scalar], mode: RowLockMode
    ) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._locker = RowLocker(codec_of(scan.table), mode)
        self._skips = mode.wait == "skip"
        whole = conjunction(condition)
        self._filter = compile_scalar(whole, source.layout) if whole is not None else None

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield locked rows; with a limit, no more rows are locked than it takes."""
        taken = 0
        source_run = _finding_run(run) if self._skips else run
        async with aclosing(self._source.batches(source_run)) as batches:
            async for rows in batches:
                start = 0
                while start < len(rows):
                    step = lock_step(run.ctx, limit - taken if limit else 0)
                    part = rows[start : start + step]
                    start += len(part)
                    locked = await self._locker.lock(part, run.ctx, self._recheck)
                    taken += len(locked)
                    if locked:
                        yield locked
                    if limit and taken >= limit:
                        return

    def _recheck(self, row: Row, ctx: "ExecContext") -> bool:
        return self._filter is None or self._filter(row, ctx) is True


def _finding_run(run: Run) -> Run:
    """Return a run to find rows for SKIP LOCKED, or else workers of a queue abort each other."""
    ctx = copy.copy(run.ctx)
    ctx.txn = ctx.txn.unvalidated()
    return Run(ctx, run.budget_rows)


def is_same_row(newest: Row, row: Row) -> bool:
    """Compare datum by datum, NaN being itself; `row` may go on after the table's columns."""
    return all(a == b or (a != a and b != b) for a, b in zip(newest, row, strict=False))


Recheck = Callable[[Row, "ExecContext"], bool]


class RowLocker:
    """Locks rows that were read before, and brings them up to date."""

    def __init__(self, codec: TableCodec, mode: RowLockMode = EXCLUSIVE) -> None:
        self._codec = codec
        self._mode = mode
        self._width = len(codec.attnums)

    async def lock(self, rows: list[Row], ctx: "ExecContext", recheck: Recheck) -> list[Row]:
        """Return the rows that still exist and, if changed, still match; with their newest values.

        Each row begins with a full row of the table; what follows it is kept.
        """
        codec, width = self._codec, self._width
        got = await lock_keys([codec.row_key(row) for row in rows], self._mode, ctx)
        locked: list[Row] = []
        for n, (row, value) in enumerate(zip(rows, got.values, strict=True)):
            if value is None or got.found[n] == SKIPPED:
                continue  # deleted meanwhile, or locked by another and SKIP LOCKED
            newest = codec.decode_row(value)
            if newest != tuple(row[:width]) and not is_same_row(newest, row):
                changed = (*newest, *row[width:])
                if not recheck(changed, ctx):
                    continue
                locked.append(changed)
            else:
                locked.append(row)
        return locked
