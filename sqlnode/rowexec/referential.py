"""Referential integrity of one statement: cascades at once, checks when all rows are written.

**Model.** A statement tells what it inserted, updated and deleted. Cascading actions run
immediately and report their own changes the same way. What must hold is noted and checked by
`finish`, over the transaction's own writes: so a row may reference one that the same statement
inserts later, and NO ACTION sees what the cascades removed. If much is noted, what holds already is
forgotten on the way.

New children lock their parents, as PostgreSQL's FOR KEY SHARE does: a parent cannot go before they
are committed, and who has locked it to remove it sees every child of the present. Updates of other
columns of the parent neither wait for children nor conflict with them. What a check reads beyond
that is validated at commit.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.descriptors import FkAction, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.plan.bind import bind_expression
from sqlnode.plan.logical import OutColumn
from sqlnode.rowexec.constraint_errors import ConstraintErrors
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.foreign_keys import ForeignKey, Values
from sqlnode.rowexec.node import BATCH_ROWS
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.row_checks import RowChecks
from sqlnode.rowexec.row_locks import (
    EXCLUSIVE,
    RowLocker,
    RowLockMode,
    change_mode,
)
from sqlnode.rowexec.row_writer import RowWriter
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.txn import Transaction
from sqlnode.types import BOOL

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

Pairs = Sequence[tuple[Row, Row]]
Gone = tuple["ForeignKey", FkAction]
_NOTED_MAX: Final = 10_000  # of one foreign key, before what holds already is forgotten
_REFUSALS: Final = (FkAction.NO_ACTION, FkAction.RESTRICT)


def bound_checks(table: TableDesc, ctx: "ExecContext") -> RowChecks:
    """Return the constraints of a table that the statement does not name, bound here."""
    columns = tuple(
        OutColumn(n, column.name, column.type, table.id, column.attnum)
        for n, column in enumerate(table.columns)
    )
    checks = [
        (
            check.name,
            bind_expression(
                check.sql,
                columns,
                catalog=ctx.catalog,
                search_path=ctx.session.search_path,
                wanted=BOOL,
                clause="check constraints",
            ),
        )
        for check in table.checks
    ]
    return RowChecks(table, checks, {n: n for n in range(len(columns))})


class TableKeys:
    """The foreign keys that touch one table: its own, and those of others to it."""

    def __init__(self, table: TableDesc, catalog: Catalog) -> None:
        self.own = [
            ForeignKey(desc, table, parent)
            for desc in table.foreign_keys
            if isinstance(parent := catalog.by_id.get(desc.target_table_id), TableDesc)
        ]
        self.others = [
            ForeignKey(desc, child, table)
            for child in catalog.referencing.get(table.id, ())
            for desc in child.foreign_keys
            if desc.target_table_id == table.id
        ]

    def __bool__(self) -> bool:
        return bool(self.own or self.others)


class Referential:
    """The referential work of one execution of one statement."""

    def __init__(self, ctx: "ExecContext", *, can_defer: bool = True) -> None:
        self._ctx = ctx
        # If the commit follows there is nothing to wait for.
        self._deferred = ctx.txn.deferred if can_defer and not ctx.commit_follows else None
        self._keys: dict[int, TableKeys] = {}
        self._parents: dict[ForeignKey, dict[bytes, Values]] = {}
        self._missing: dict[ForeignKey, dict[bytes, Values]] = {}  # when looked at early
        self._gone: dict[Gone, list[Values]] = {}
        self._referenced: dict[Gone, list[Values]] = {}  # when looked at early

    def keys_of(self, table: TableDesc) -> TableKeys:
        """Return the foreign keys that touch a table."""
        if table.id not in self._keys:
            self._keys[table.id] = TableKeys(table, self._ctx.catalog)
        return self._keys[table.id]

    async def inserted(self, table: TableDesc, rows: Iterable[Row]) -> None:
        """Take note of new rows."""
        for key in self.keys_of(table).own:
            await self._note_parents(key, rows)

    async def updated(self, table: TableDesc, pairs: Pairs) -> None:
        """Take note of changed rows, and follow ON UPDATE."""
        keys = self.keys_of(table)
        for key in keys.own:
            changed = [new for old, new in pairs if key.child_values(old) != key.child_values(new)]
            await self._note_parents(key, changed)
        for key in keys.others:
            moved = [
                (before, key.parent_values(new))
                for old, new in pairs
                if None not in (before := key.parent_values(old))
                and before != key.parent_values(new)
            ]
            if moved:
                await self._parents_moved(key, moved)

    async def deleted(self, table: TableDesc, rows: Sequence[Row]) -> None:
        """Take note of deleted rows, and follow ON DELETE."""
        for key in self.keys_of(table).others:
            gone = [v for v in map(key.parent_values, rows) if None not in v]
            if not gone:
                continue
            if key.desc.on_delete in _REFUSALS:
                await self._note_gone((key, key.desc.on_delete), gone)
            elif key.desc.on_delete is FkAction.CASCADE:
                await self._delete_children(key, gone)
            else:
                await self._reset_children(key, gone, key.desc.on_delete)

    async def finish(self) -> None:
        """Check everything noted. Raises: ForeignKeyViolation."""
        for noted in (self._parents, self._missing):
            for key, wanted in noted.items():
                for keys in _batches(list(wanted)):
                    for entry in await self._absent_parents(key, keys):
                        self._lacks(key, wanted[entry])
        for gone_values in (self._gone, self._referenced):
            for (key, action), gone in gone_values.items():
                for values in _batches(gone):
                    await self._check_orphans(key, action, values)

    # --- checks -------------------------------------------------------------------------------

    async def _note_parents(self, key: ForeignKey, rows: Iterable[Row]) -> None:
        wanted = self._parents.setdefault(key, {})
        for row in rows:
            values = key.child_values(row)
            if None not in values:
                wanted[key.parent_key(values)] = values
            elif key.desc.match_full and any(value is not None for value in values):
                raise self._errors(key.child).half_null(key.desc)
        if len(wanted) > _NOTED_MAX:
            # A parent that is there stays: whoever removes it looks for children. One that is
            # missing may come later in the statement.
            missing = self._missing.setdefault(key, {})
            for keys in _batches(list(wanted)):
                for entry in await self._absent_parents(key, keys):
                    missing[entry] = wanted[entry]
            wanted.clear()

    async def _note_gone(self, place: Gone, gone: list[Values]) -> None:
        noted = self._gone.setdefault(place, [])
        noted += gone
        if len(noted) > _NOTED_MAX:
            # A child that comes later in the statement looks for its parent itself.
            referenced = self._referenced.setdefault(place, [])
            key = place[0]
            for values in _batches(noted):
                children = {key.parent_key(v): v for v in values}
                async for rows in self.children(key, values):
                    for row in rows:
                        found = children.pop(key.parent_key(key.child_values(row)), None)
                        if found is not None:
                            referenced.append(found)
            noted.clear()

    async def _absent_parents(self, key: ForeignKey, keys: list[bytes]) -> list[bytes]:
        """Return those of the parents' keys that are not there.

        The others are held, as by PostgreSQL's FOR KEY SHARE: their other columns may change.
        """
        txn, timeout_ms = self._ctx.txn, lock_timeout_ms(self._ctx)
        if key.parent_has_own_key:
            rows: dict[bytes, bytes | None] = {entry: entry for entry in keys}
        else:
            found = await txn.newest().multi_get(keys)
            rows = {
                entry: None if value is None else key.row_key_of_parent(entry, value)
                for entry, value in zip(keys, found, strict=True)
            }
        held = [row for row in rows.values() if row is not None]
        values = dict(zip(held, await txn.hold_rows(held, timeout_ms=timeout_ms), strict=True))
        return [
            entry
            for entry, row in rows.items()
            if row is None or not key.is_parent(values[row], entry)
        ]

    def _lacks(self, key: ForeignKey, values: Values) -> None:
        if not self._defer(key, [values], is_orphan=False):
            raise self._errors(key.child).missing_parent(key.desc, values, key.parent)

    def _defer(self, key: ForeignKey, broken: list[Values], *, is_orphan: bool) -> bool:
        """Put a check that failed off to the end of the transaction, if the key allows that."""
        if self._deferred is None or not self._deferred.is_deferred(key.desc):
            return False
        for values in broken:
            self._deferred.add((key.child.id, key.desc.oid), values, is_orphan=is_orphan)
        return True

    async def require_parents(
        self, key: ForeignKey, values: list[Values], *, is_orphan: bool
    ) -> None:
        """Check that parents exist, or are gone without leaving children. Raises: SqlError."""
        if is_orphan:
            await self._check_orphans(key, FkAction.NO_ACTION, values)
        elif values:
            wanted = {key.parent_key(one): one for one in values}
            for entry in await self._absent_parents(key, list(wanted)):
                self._lacks(key, wanted[entry])

    async def _check_orphans(self, key: ForeignKey, action: FkAction, gone: list[Values]) -> None:
        if action is not FkAction.RESTRICT:
            # Another row may have taken the key meanwhile.
            again = await self._ctx.txn.newest().multi_get(list(map(key.parent_key, gone)))
            gone = [v for v, value in zip(gone, again, strict=True) if value is None]
        child = await self.first_child(key, gone)
        if child is not None and not (
            action is not FkAction.RESTRICT and self._defer(key, gone, is_orphan=True)
        ):
            values = key.child_values(child)
            raise self._errors(key.parent).still_referenced(key.desc, values, key.child)

    # --- actions ------------------------------------------------------------------------------

    async def _parents_moved(self, key: ForeignKey, moved: Sequence[tuple[Values, Values]]) -> None:
        before = [old for old, _ in moved]
        action = key.desc.on_update
        if action in _REFUSALS:
            await self._note_gone((key, action), before)
        elif action is FkAction.CASCADE:
            new_values = {key.parent_key(old): new for old, new in moved}
            mode = change_mode(key.child, key.desc.columns)
            # A child that moved to another of the parents must not be met there again.
            with self._ctx.txn.as_now() as view:
                async for rows in self._locked_children(key, before, mode, view):
                    await self._change_children(
                        key,
                        [(row, new_values[key.parent_key(key.child_values(row))]) for row in rows],
                    )
        else:
            await self._reset_children(key, before, action)

    async def _delete_children(self, key: ForeignKey, gone: list[Values]) -> None:
        async for rows in self._locked_children(key, gone, EXCLUSIVE, self._ctx.txn):
            await RowWriter(key.child).delete(rows, self._ctx)
            await self.deleted(key.child, rows)
            await self._ctx.txn.make_room()

    async def _reset_children(self, key: ForeignKey, gone: list[Values], action: FkAction) -> None:
        values: Values = (None,) * len(key.desc.columns)
        if action is FkAction.SET_DEFAULT:
            values = tuple(self._default(key.child, attnum) for attnum in key.desc.columns)
        is_any = False
        mode = change_mode(key.child, key.desc.columns)
        async for rows in self._locked_children(key, gone, mode, self._ctx.txn):
            is_any = True
            await self._change_children(key, [(row, values) for row in rows])
        if is_any and action is FkAction.SET_DEFAULT:  # may be the very key that goes
            await self._note_gone((key, FkAction.NO_ACTION), gone)

    async def _change_children(
        self, key: ForeignKey, changes: Sequence[tuple[Row, Values]]
    ) -> None:
        pairs = []
        for old, values in changes:
            new = list(old)
            for n, value in zip(key.child_positions, values, strict=True):
                new[n] = value
            pairs.append((old, tuple(new)))
        bound_checks(key.child, self._ctx).check([new for _, new in pairs], self._ctx)
        await RowWriter(key.child).moves(key.desc.columns).update(pairs, self._ctx)
        await self.updated(key.child, pairs)
        await self._ctx.txn.make_room()

    async def _locked_children(
        self, key: ForeignKey, parents: list[Values], mode: RowLockMode, txn: Transaction
    ) -> AsyncIterator[list[Row]]:
        wanted = set(map(key.parent_key, parents))

        def still_refers(row: Row, _ctx: "ExecContext") -> bool:
            values = key.child_values(row)
            return None not in values and key.parent_key(values) in wanted

        locker = RowLocker(RowWriter(key.child).codec, mode)
        async for rows in self.children(key, parents, txn):
            if locked := await locker.lock(rows, self._ctx, still_refers):
                yield locked

    async def children(
        self, key: ForeignKey, parents: list[Values], txn: Transaction | None = None
    ) -> AsyncGenerator[list[Row], None]:
        """Yield the rows that refer to any of `parents`, as committed now and written here."""
        view = (txn or self._ctx.txn).newest()
        async for rows in key.children(parents, view):
            if rows:
                yield rows
        self._ctx.txn.require_still(view)

    async def first_child(self, key: ForeignKey, parents: list[Values]) -> Row | None:
        """Return a row that refers to any of `parents`, if there is one."""
        async with aclosing(self.children(key, parents)) as pages:
            async for rows in pages:
                return rows[0]
        return None

    def _default(self, table: TableDesc, attnum: int) -> object:
        column = table.column(attnum)
        if column.default_sql is None:
            return None
        scalar = bind_expression(
            column.default_sql,
            (),
            catalog=self._ctx.catalog,
            search_path=self._ctx.session.search_path,
            wanted=column.type,
        )
        try:
            return compile_scalar(scalar, {})((), self._ctx)
        except NotRowShape:  # nextval: one value could not serve several rows
            raise FeatureNotSupported("SET DEFAULT with a sequence") from None

    def _errors(self, table: TableDesc) -> ConstraintErrors:
        return ConstraintErrors(table, self._ctx.catalog, self._ctx.settings)


T = TypeVar("T")


def _batches(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), BATCH_ROWS):
        yield items[start : start + BATCH_ROWS]
