"""SELECT … FOR UPDATE over a join: the parts of its rows from some tables are locked.

**Model.** If one of them has changed since the snapshot the statement runs again at a newer one,
which holds the row by then; at READ COMMITTED the joined row is looked at again instead
(second_look.py). A row that is gone, or no longer wanted, is left out and stays locked.

Source: PostgreSQL, src/backend/executor/nodeLockRows.c.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from kvapi.client.results import SKIPPED
from kvapi.errors import WriteConflict
from sqlnode.plan.logical import Scan
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.node import Batches, Node, Run
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_parts import PartedPlan
from sqlnode.rowexec.row_locks import (
    ROW_CHANGED,
    RowLockMode,
    is_same_row,
    lock_keys,
    lock_step,
)
from sqlnode.rowexec.second_look import SecondLook
from sqlnode.rowexec.table_codec import TableCodec, codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class LockedJoin:
    """Joined rows. Requires: the source gives every column of the locked scans."""

    def __init__(
        self, source: Node, locked: Sequence[tuple[Scan, RowLockMode]], parted: PartedPlan
    ) -> None:
        self.layout = source.layout
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._tables = [
            (codec_of(scan.table), [source.layout[column.id] for column in scan.columns], mode)
            for scan, mode in locked
        ]
        try:
            self._second_look: SecondLook | None = SecondLook(parted, dict(source.layout))
        except NotRowShape:
            self._second_look = None

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield rows whose parts are locked."""
        taken = 0
        async with aclosing(self._source.batches(run)) as batches:
            async for rows in batches:
                start = 0
                while start < len(rows) and not (limit and taken >= limit):
                    step = lock_step(run.ctx, limit - taken if limit else 0)
                    part = rows[start : start + step]
                    start += len(part)
                    locked = await self._locked(part, run.ctx)
                    taken += len(locked)
                    if locked:
                        yield locked

    async def _locked(self, rows: list[Row], ctx: "ExecContext") -> list[Row]:
        """Return the rows that were not skipped and are still wanted."""
        pairs = [(row, row) for row in rows]  # (as it was, with the newest versions)
        for codec, places, mode in self._tables:
            pairs = await _lock(pairs, codec, places, mode, ctx)
        changed = [(old, new) for old, new in pairs if new is not old]
        if not changed:
            return [row for row, _ in pairs]
        if self._second_look is None or ctx.txn.isolation != "read committed":
            raise WriteConflict(ROW_CHANGED)
        found = iter(
            await self._second_look.rows(
                [new for _, new in changed], [old for old, _ in changed], ctx
            )
        )
        looked = [old if new is old else next(found) for old, new in pairs]
        return [row for row in looked if row is not None]


async def _lock(
    pairs: list[tuple[Row, Row]],
    codec: TableCodec,
    places: list[int],
    mode: RowLockMode,
    ctx: "ExecContext",
) -> list[tuple[Row, Row]]:
    """Lock the rows of one table; return the pairs brought up to date. Raises: WriteConflict.

    Those of rows that were skipped or are gone are left out.
    """
    key_places = [places[n] for n in codec.primary.positions]
    keys: list[bytes | None] = []
    for old, _ in pairs:
        # An outer join may have found no row of this table.
        has_row = all(old[n] is not None for n in key_places)
        keys.append(codec.row_key(tuple([old[n] for n in places])) if has_row else None)
    wanted = list({key: None for key in keys if key is not None})
    if not wanted:
        return pairs
    got = await lock_keys(wanted, mode, ctx)
    newest: dict[bytes, Row | None] = {}
    for locked_key, value, state in zip(wanted, got.values, got.found, strict=True):
        if value is None and state != SKIPPED and ctx.txn.isolation != "read committed":
            raise WriteConflict(ROW_CHANGED, key=locked_key)
        newest[locked_key] = None
        if value is not None and state != SKIPPED:
            newest[locked_key] = codec.decode_row(value)
    current = []
    for (old, new), key in zip(pairs, keys, strict=True):
        if key is None:
            current.append((old, new))
        elif (version := newest[key]) is not None:
            current.append((old, _updated(old, new, version, places)))
    return current


def _updated(old: Row, new: Row, version: Row, places: list[int]) -> Row:
    """Return `new` with a table's newest row in it; `new` itself if that is as it was."""
    if is_same_row(version, [old[n] for n in places]):
        return new
    changed = list(new)
    for place, datum in zip(places, version, strict=True):
        changed[place] = datum
    return changed
