"""INSERT … ON CONFLICT: rows that meet an existing one are skipped or become an update.

**Model.** The arbiter keys of a batch are looked up together. With DO UPDATE on the primary key
they are locked at once, so that concurrent upserts of one row queue; other arbiters are read, and
the rows they lead to are locked; at READ COMMITTED one looks again if such a row has lost its key
or is gone by then, as PostgreSQL does. Rows of the batch also meet each other: the first counts.

An update of an existing row happens row by row, since the next proposed row may meet its result.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvapi.errors import WriteConflict
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.constraint_errors import affects_row_twice
from sqlnode.rowexec.dml_source import SourceCompiler
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.index_codec import IndexCodec, SecondaryIndexCodec
from sqlnode.rowexec.referential import Referential
from sqlnode.rowexec.row_checks import RowChecks
from sqlnode.rowexec.row_locks import change_mode, lock_keys
from sqlnode.rowexec.row_writer import RowWriter
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.rowexec.subquery_values import Computed, SubqueryValues
from sqlnode.rowexec.table_codec import codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_ABSENT: Final = None
LOOKS_MAX: Final = 100  # for rows that lose their keys while one waits for them


class ConflictWriter:
    """The compiled ON CONFLICT clause of one INSERT."""

    def __init__(
        self,
        bound: Insert,
        writer: RowWriter,
        checks: RowChecks,
        layout: dict[int, int],
        planning: tuple[Catalog, SourceCompiler],
    ) -> None:
        clause = bound.on_conflict
        assert clause is not None, "made for INSERT with ON CONFLICT"
        codec = writer.codec
        self.writer, self.checks = writer, checks
        self.do_update = clause.do_update
        self.arbiters = _arbiters(bound.table, clause.index_ids)
        width = len(codec.attnums)
        excluded = {
            column.id: width + codec.position_of.get(column.attnum, n)
            for n, column in enumerate(clause.excluded_columns)
        }
        self.subqueries = subqueries = SubqueryValues(layout | excluded, 2 * width, *planning)
        where = None if clause.where is None else subqueries.take(clause.where)
        assignments = [(attnum, subqueries.take(scalar)) for attnum, scalar in clause.assignments]
        subqueries.refuse_reads_of(bound.table)
        both = subqueries.layout
        self.where = None if where is None else compile_scalar(where, both)
        self.assignments = [
            (codec.position_of[attnum], compile_scalar(scalar, both))
            for attnum, scalar in assignments
        ]
        self.mode = change_mode(bound.table, [attnum for attnum, _ in clause.assignments])
        self.moves = writer.moves(attnum for attnum, _ in clause.assignments)
        self.locks_first = (
            self.do_update and len(self.arbiters) == 1 and self.arbiters[0] is codec.primary
        )

    async def begin(self, references: Referential, ctx: "ExecContext") -> "Conflicts":
        """Begin one execution."""
        computed = await self.subqueries.begin(ctx) if self.subqueries else None
        return Conflicts(self, references, computed)


def _arbiters(table: TableDesc, index_ids: Sequence[int]) -> list[IndexCodec]:
    codec = codec_of(table)
    if index_ids:
        return [codec.index(index_id) for index_id in index_ids]
    unique = [index for index in codec.indexes if index.desc.unique]
    has_row_id = codec.row_id_position in codec.primary.positions
    return [*unique] if has_row_id else [codec.primary, *unique]


class Conflicts:
    """One execution: remembers which rows the statement itself wrote."""

    def __init__(
        self, clause: ConflictWriter, references: Referential, computed: Computed | None
    ) -> None:
        self._clause = clause
        self._computed = computed
        self._references = references
        self._own: set[bytes] = set()  # row keys this statement inserted or updated
        self._stored: dict[bytes, bytes | None] = {}  # newest values of locked rows

    async def write(self, rows: Sequence[Row], ctx: "ExecContext") -> list[Row]:
        """Insert or update; return the rows as they now are, without those left alone."""
        taken = await self._look_up(rows, ctx)
        clause, writer = self._clause, self._clause.writer
        written: list[Row] = []
        fresh: list[Row] = []
        for row in rows:
            met = next((taken[k] for k in self._keys(row) if taken.get(k) is not None), _ABSENT)
            if met is _ABSENT:
                fresh.append(row)
                written.append(row)
                self._claim(row, taken)
            elif clause.do_update:
                # What was collected goes first: the update may touch the same keys.
                await writer.insert(fresh, ctx)
                await self._references.inserted(writer.table, fresh)
                fresh = []
                new = await self._update(met, row, ctx)
                if new is not None:
                    written.append(new)
        await writer.insert(fresh, ctx)
        await self._references.inserted(writer.table, fresh)
        return written

    def _keys(self, row: Row) -> list[bytes]:
        """Return the row's keys in the arbiter indexes; NULLs meet nothing."""
        codec = self._clause.writer.codec
        return [
            index.key_of_row(row)
            for index in self._clause.arbiters
            if index is codec.primary
            or (isinstance(index, SecondaryIndexCodec) and index.is_exclusive(row))
        ]

    def _claim(self, row: Row, taken: dict[bytes, bytes | None]) -> None:
        key = self._clause.writer.codec.row_key(row)
        if self._clause.do_update:
            self._own.add(key)
        for arbiter_key in self._keys(row):
            taken[arbiter_key] = key

    async def _look_up(self, rows: Sequence[Row], ctx: "ExecContext") -> dict[bytes, bytes | None]:
        """Return arbiter key → key of the row that has it, None for keys that are free."""
        clause = self._clause
        keys = list(dict.fromkeys(key for row in rows for key in self._keys(row)))
        if not keys:
            return {}
        if clause.locks_first:
            await self._lock(keys, ctx)
            return {key: key if self._stored[key] is not None else None for key in keys}
        if not clause.do_update and not ctx.commit_follows:
            await self._wait_for(keys, ctx)
        for _ in range(LOOKS_MAX):
            view = ctx.txn.newest()
            values = await view.multi_get(keys)
            taken = {
                key: None if value is None else self._owner(key, value)
                for key, value in zip(keys, values, strict=True)
            }
            if await self._holds_owners(taken, ctx):
                free = [key for key, owner in taken.items() if owner is None]
                ctx.txn.require_still(view, free)  # a lost race is a conflict to retry
                return taken
            if ctx.txn.isolation != "read committed":
                break  # no other look would show anything newer
        raise WriteConflict("could not serialize access due to concurrent update")

    async def _wait_for(self, keys: list[bytes], ctx: "ExecContext") -> None:
        """Wait for others who insert these keys. Raises: WriteConflict if the snapshot misses one.

        Source: PostgreSQL, src/backend/executor/nodeModifyTable.c (ExecCheckTupleVisible).
        """
        txn = ctx.txn
        values = await txn.claim_keys(keys, timeout_ms=lock_timeout_ms(ctx))
        if txn.isolation != "read committed":
            met = [key for key, value in zip(keys, values, strict=True) if value is not None]
            if met and None in await txn.multi_get(met):
                raise WriteConflict("could not serialize access due to concurrent update")

    async def _holds_owners(self, taken: dict[bytes, bytes | None], ctx: "ExecContext") -> bool:
        """Lock the rows that were met, for DO UPDATE; tell whether they still have those keys."""
        owners = list(dict.fromkeys(owner for owner in taken.values() if owner is not None))
        if not self._clause.do_update or not owners:
            return True
        await self._lock(owners, ctx)
        codec = self._clause.writer.codec
        keys_of = {
            owner: self._keys(codec.decode_row(stored)) if stored is not None else ()
            for owner, stored in self._stored.items()
        }
        return all(owner is None or key in keys_of[owner] for key, owner in taken.items())

    async def _lock(self, keys: list[bytes], ctx: "ExecContext") -> None:
        # A key that is free is held as well: whoever else would insert it waits.
        got = await lock_keys(keys, self._clause.mode, ctx, keep_absent=True)
        self._stored = dict(zip(keys, got.values, strict=True))

    def _owner(self, key: bytes, value: bytes) -> bytes:
        """Return the row key behind an arbiter's entry."""
        for index in self._clause.arbiters:
            if key.startswith(index.prefix) and isinstance(index, SecondaryIndexCodec):
                return index.row_key(key, value)
        return key

    async def _update(self, key: bytes, proposed: Row, ctx: "ExecContext") -> Row | None:
        """Update the row that was met; None if WHERE says no."""
        clause, codec = self._clause, self._clause.writer.codec
        if key in self._own:
            raise affects_row_twice()
        stored = self._stored.get(key)
        assert stored is not None, "looked up and locked"
        old = codec.decode_row(stored)
        both: Row = (*old, *proposed)
        if self._computed is not None:
            (both,) = await self._computed.extend([both], ctx)
        if clause.where is not None and clause.where(both, ctx) is not True:
            return None
        new = list(old)
        for position, value in clause.assignments:
            new[position] = value(both, ctx)
        changed = tuple(new)
        clause.checks.check([changed], ctx)
        await clause.moves.update([(old, changed)], ctx)
        self._own.add(codec.row_key(changed))
        self._own.add(key)
        await self._references.updated(clause.writer.table, [(old, changed)])
        return changed
