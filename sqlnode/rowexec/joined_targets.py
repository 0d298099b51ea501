"""Rows to change that a query found: each once, locked, and looked at again if it has changed.

**Model.** Of several matches for one row of the target the first counts. A row that has changed
since the snapshot makes the statement run again at a newer one, which holds the row by then; at
READ COMMITTED its matches are looked at again instead (second_look.py), in their order, and the
first that still holds counts.

Source: PostgreSQL, src/backend/executor/nodeModifyTable.c (ExecUpdate, TM_Updated).
"""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from kvapi.client.results import SKIPPED
from kvapi.errors import WriteConflict
from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Columns, Plan
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.dml_source import SourceCompiler, compile_source, source_context
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.node import BATCH_ROWS
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_parts import PartedPlan, parted
from sqlnode.rowexec.row_locks import ROW_CHANGED, RowLockMode, is_same_row, lock_keys
from sqlnode.rowexec.scalars import compile_row
from sqlnode.rowexec.second_look import SecondLook, Slots
from sqlnode.rowexec.subquery_values import SubqueryValues
from sqlnode.rowexec.table_codec import codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

MATCHES_MAX: Final = 10 * BATCH_ROWS  # kept of one batch at READ COMMITTED

Planning = tuple[Catalog, SourceCompiler]


class JoinedTargets:
    """Rows of a table that `source` gives: the target's columns, then those of FROM or USING."""

    def __init__(
        self,
        table: TableDesc,
        row_columns: Columns,
        source: Plan,
        mode: RowLockMode,
        planning: Planning,
    ) -> None:
        codec = codec_of(table)
        self._codec, self._width, self._mode = codec, len(codec.attnums), mode
        wide = parted(source)
        self._executable = compile_source(wide.plan, *planning)
        place = {column.id: n for n, column in enumerate(wide.plan.columns)}
        by_attnum = {
            column.attnum or codec.attnums[n]: place[column.id]
            for n, column in enumerate(row_columns)
        }
        missing = [a for a in codec.attnums if a not in by_attnum]
        assert not missing, f"the source of a change gives every column, not {missing}"
        own = [by_attnum[attnum] for attnum in codec.attnums]
        rest = [n for n in range(len(place)) if n not in set(own)]
        self._order = own + rest
        self._is_ordered = self._order == list(range(len(self._order)))
        new_place = {old: new for new, old in enumerate(self._order)}
        self.layout = {column_id: new_place[n] for column_id, n in place.items()}
        self._second_look = _second_look(wide, self.layout, planning)

    async def batches(self, ctx: "ExecContext") -> AsyncIterator[list[Any]]:
        """Yield locked rows."""
        view = source_context(ctx)
        looks_again = self._looks_again(ctx)
        done: set[bytes] = set()  # keys of rows that were taken or are gone
        matches: dict[bytes, list[Row]] = {}
        count = 0
        async for rows in self._executable.run(view):
            for row in rows:
                ordered = row if self._is_ordered else tuple([row[n] for n in self._order])
                key = self._codec.row_key(ordered)
                if key in done:
                    continue
                of_row = matches.setdefault(key, [])
                if looks_again or not of_row:
                    of_row.append(ordered)
                    count += 1
                if len(matches) == BATCH_ROWS or count == MATCHES_MAX:
                    yield await self._locked(matches, done, view)
                    matches, count = {}, 0
        if matches:
            yield await self._locked(matches, done, view)

    def _looks_again(self, ctx: "ExecContext") -> bool:
        return self._second_look is not None and ctx.txn.isolation == "read committed"

    async def _locked(
        self, matches: dict[bytes, list[Row]], done: set[bytes], ctx: "ExecContext"
    ) -> list[Row]:
        """Lock the rows that have matches; return the match that counts for each."""
        keys = list(matches)
        got = await lock_keys(keys, self._mode, ctx)
        taken: dict[bytes, Row | None] = {}
        changed: list[tuple[bytes, Row]] = []
        for n, key in enumerate(keys):
            value, (first, *_) = got.values[n], matches[key]
            taken[key] = None  # its place in the order
            if value is None or got.found[n] == SKIPPED:
                done.add(key)
                continue
            newest = self._codec.decode_row(value)
            if is_same_row(newest, first):
                taken[key] = first
            elif self._looks_again(ctx):
                changed += [(key, newest)]
            else:
                raise WriteConflict(ROW_CHANGED, key=key)
        await self._look_again(changed, matches, taken, ctx)
        done.update(key for key, row in taken.items() if row is not None)
        return [row for row in taken.values() if row is not None]

    async def _look_again(
        self,
        changed: Sequence[tuple[bytes, Row]],
        matches: dict[bytes, list[Row]],
        taken: dict[bytes, Row | None],
        ctx: "ExecContext",
    ) -> None:
        """Take for each changed row the first match that it still has."""
        if not changed:
            return
        assert self._second_look is not None, "or the statement runs again"
        keys = [key for key, _ in changed for _ in matches[key]]
        before = [row for key, _ in changed for row in matches[key]]
        rows = [(*new, *row[self._width :]) for key, new in changed for row in matches[key]]
        found = await self._second_look.rows(rows, before, ctx)
        for key, row in zip(keys, found, strict=True):
            if taken[key] is None:
                taken[key] = row


def _second_look(wide: PartedPlan, layout: Slots, planning: Planning) -> SecondLook | None:
    """Compile a second look; None: the statement has to run again instead."""

    def scalars(of: Sequence[Scalar], slots: Slots, width: int) -> "_WithSubqueries":
        return _WithSubqueries(of, SubqueryValues(slots, width, *planning))

    try:
        return SecondLook(wide, layout, scalars)
    except (NotRowShape, FeatureNotSupported):
        return None


class _WithSubqueries:
    """Scalars whose subqueries are computed for the rows at hand."""

    def __init__(self, scalars: Sequence[Scalar], subqueries: SubqueryValues) -> None:
        taken = [subqueries.take(scalar) for scalar in scalars]
        self._row = compile_row(taken, subqueries.layout)
        self._subqueries = subqueries

    async def of(self, rows: Sequence[Row], ctx: "ExecContext") -> Sequence[tuple[Any, ...]]:
        """Return the scalars' values for each row."""
        if self._subqueries and rows:
            rows = await (await self._subqueries.begin(ctx)).extend(rows, ctx)
        return [self._row(row, ctx) for row in rows]
