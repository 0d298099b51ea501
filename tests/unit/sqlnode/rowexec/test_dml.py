"""INSERT, UPDATE and DELETE in rowexec: what is stored, what is returned, what is refused."""

import pytest

from pgwire.errors import (
    CardinalityViolation,
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    SqlError,
    UniqueViolation,
)  # fmt: skip
from sqlnode.catalog.descriptors import FkAction, ForeignKeyDesc
from sqlnode.plan.logical import Filter, OutColumn, Scan, Values
from sqlnode.plan.scalar import Call, ColumnRef, Const
from sqlnode.plan.statement import Delete, Insert, OnConflict, Returning, Update
from sqlnode.rowexec.dml import compile_dml
from sqlnode.types import INT4, INT8, TEXT
from tests.fakes.memory_txn import MemoryStore
from tests.unit.sqlnode.rowexec.context import FakeSequences, fill, make_ctx, stored
from tests.unit.sqlnode.rowexec.nodes import col, fn, i4, op
from tests.unit.sqlnode.rowexec.tables import make_table

T = make_table(
    [("a", INT4), ("b", INT4), ("c", TEXT, {"not_null": True})],
    indexes=[("t_b_key", ("b",), True), ("t_c", ("c",), False)],
)


def row_columns(table, first_id=1):
    return tuple(
        OutColumn(first_id + n, c.name, c.type, table.id, c.attnum)
        for n, c in enumerate(table.columns)
    )


def refs(columns):
    return tuple(ColumnRef(c.id, c.type) for c in columns)


def insert(
    table, rows, *, attnums=None, on_conflict=None, checks=(), returning=False, defaults=None
):
    attnums = attnums or tuple(c.attnum for c in table.columns if not c.hidden)
    columns = row_columns(table)
    types = [table.column(a).type for a in attnums]
    values = Values(
        tuple(tuple(Const(v, t) for v, t in zip(row, types, strict=True)) for row in rows),
        tuple(OutColumn(100 + n, "v", t) for n, t in enumerate(types)),
    )
    back = Returning(columns, refs(columns)) if returning else None
    return Insert(table, attnums, values, defaults or {}, columns, checks, on_conflict, back)


def update(table, assignments, condition=None, *, checks=(), returning=False):
    columns = row_columns(table)
    plan = Scan(table, columns, table.name)
    plan = plan if condition is None else Filter(plan, condition)
    back = Returning(columns, refs(columns)) if returning else None
    return Update(table, plan, columns, tuple(assignments), checks, back)


def delete(table, condition=None, *, returning=False):
    columns = row_columns(table)
    plan = Scan(table, columns, table.name)
    plan = plan if condition is None else Filter(plan, condition)
    return Delete(table, plan, columns, Returning(columns, refs(columns)) if returning else None)


async def run(bound, store, *, tables=None, commit_follows=False, before_lock=None, seq=None):
    ctx = make_ctx(store=store, tables=tables or (T,))
    ctx.sequences = seq or FakeSequences()
    ctx.commit_follows = commit_follows
    ctx.txn.before_lock = before_lock
    try:
        ctx.result = await compile_dml(bound, ctx.catalog, None).run(ctx)
    except SqlError:
        assert not ctx.txn.writes, "a failed statement leaves writes behind"
        raise
    await ctx.txn.commit()
    return ctx


@pytest.fixture
def store():
    store = MemoryStore()
    fill(store, T, [(1, 10, "x"), (2, 20, "y"), (3, None, "z")])
    return store


async def test_insert_writes_rows_and_entries_and_returns_them(store):
    """An inserted row is not found by an index."""
    ctx = await run(insert(T, [(4, 40, "p"), (5, None, "q")], returning=True), store)
    assert ctx.result == (2, [(4, 40, "p"), (5, None, "q")])
    assert ctx.txn.round_trips == ["multi_get", "commit"]
    assert [row[0] for row in stored(store, T)] == [1, 2, 3, 4, 5]


async def test_single_statement_insert_is_one_round_trip(store):
    """Autocommit inserts pay for a look-up that the commit does anyway."""
    ctx = await run(insert(T, [(4, 40, "p")]), store, commit_follows=True)
    assert ctx.txn.round_trips == ["commit"]
    assert len(ctx.txn.absent) == 2


@pytest.mark.parametrize("commit_follows", [False, True])
async def test_duplicates_are_named(store, commit_follows):
    """Two rows with one key, or an error that does not say which."""
    with pytest.raises(UniqueViolation) as caught:
        await run(insert(T, [(8, 8, "p"), (8, 9, "q")]), store, commit_follows=commit_follows)
    assert caught.value.detail == "Key (a)=(8) already exists."
    if not commit_follows:
        with pytest.raises(UniqueViolation) as caught:
            await run(insert(T, [(8, 20, "p")]), store)
        assert caught.value.constraint_name == "t_b_key"
        assert caught.value.detail == "Key (b)=(20) already exists."
    assert len(stored(store, T)) == 3


async def test_not_null_and_check(store):
    """Rows that the schema forbids are stored."""
    with pytest.raises(NotNullViolation) as caught:
        await run(insert(T, [(4, 40)], attnums=(1, 2)), store)
    assert caught.value.message == (
        'null value in column "c" of relation "t" violates not-null constraint'
    )
    assert caught.value.detail == "Failing row contains (4, 40, null)."
    positive = (("t_b_check", op(">", col(2), i4(0))),)
    with pytest.raises(CheckViolation, match='new row for relation "t" violates check'):
        await run(insert(T, [(4, -1, "x")], checks=positive), store)
    await run(insert(T, [(4, None, "x")], checks=positive), store)
    with pytest.raises(CheckViolation):
        await run(update(T, [(2, i4(-1))], checks=positive), store)


async def test_defaults_and_row_ids():
    """Columns left out are NULL though they have a default; rows without key overwrite."""
    table = make_table(
        [("r", INT8, {"hidden": True}), ("a", INT4), ("s", INT4, {"sequence_id": 77})], ("r",)
    )
    store = MemoryStore()
    seq = FakeSequences()
    await run(insert(table, [(7,), (8,)], attnums=(2,)), store, tables=(table,), seq=seq)
    bound = insert(table, [(1,)], attnums=(3,), defaults={2: i4(5)})
    await run(bound, store, tables=(table,), seq=seq)
    assert stored(store, table) == [(1, 7, 1), (2, 8, 2), (3, 5, 1)]


async def test_on_conflict_do_nothing(store):
    """An upsert fails, or inserts a row twice."""
    clause = OnConflict((1,))
    ctx = await run(
        insert(T, [(1, 99, "n"), (7, 70, "n"), (7, 71, "n")], on_conflict=clause, returning=True),
        store,
    )
    assert ctx.result == (1, [(7, 70, "n")])
    any_index = insert(T, [(50, 20, "n"), (51, None, "n")], on_conflict=OnConflict(()))
    assert (await run(any_index, store)).result[0] == 1


async def test_on_conflict_do_update(store):
    """Counters lose increments; a row is changed twice by one command."""
    excluded = row_columns(T, 20)
    add = Call(fn("+", "int4"), (col(2), col(21)), INT4)
    clause = OnConflict((1,), True, ((2, add),), None, excluded)
    ctx = await run(
        insert(T, [(1, 5, "n"), (9, 90, "n")], on_conflict=clause, returning=True), store
    )
    assert ctx.result == (2, [(1, 15, "x"), (9, 90, "n")])
    assert ctx.txn.round_trips[0] == "lock"
    assert stored(store, T)[0] == (1, 15, "x")
    with pytest.raises(CardinalityViolation):
        await run(insert(T, [(1, 100, "n"), (1, 6, "n")], on_conflict=clause), store)
    no = OnConflict((1,), True, ((2, add),), op("<", col(2), i4(0)), excluded)
    assert (await run(insert(T, [(1, 5, "n")], on_conflict=no), store)).result == (0, [])
    by_b = OnConflict((2,), True, ((3, ColumnRef(22, TEXT)),), None, excluded)
    await run(insert(T, [(77, 20, "new")], on_conflict=by_b), store)
    assert stored(store, T)[1] == (2, 20, "new")


async def test_update_by_key_locks_and_puts(store):
    """An UPDATE by key reads, locks and writes in three round trips."""
    add = Call(fn("+", "int4"), (col(2), i4(1)), INT4)
    ctx = await run(update(T, [(2, add)], op("=", col(1), i4(1)), returning=True), store)
    assert ctx.result == (1, [(1, 11, "x")])
    assert ctx.txn.round_trips == ["lock", "multi_get", "commit"]  # b is unique
    ctx = await run(update(T, [(3, Const("w", TEXT))], op("=", col(1), i4(1))), store)
    assert ctx.txn.round_trips == ["lock", "commit"]
    assert stored(store, T)[0] == (1, 11, "w")


async def test_update_moves_primary_keys_in_one_batch(store):
    """UPDATE t SET a = a + 1 fails on its own rows, or visits a row twice."""
    add = Call(fn("+", "int4"), (col(1), i4(1)), INT4)
    ctx = await run(update(T, [(1, add)], op(">", col(1), i4(0))), store)
    assert ctx.result[0] == 3
    assert [row[0] for row in stored(store, T)] == [2, 3, 4]
    with pytest.raises(UniqueViolation):
        await run(update(T, [(1, i4(9))]), store)
    with pytest.raises(UniqueViolation, match="t_pkey"):
        await run(update(T, [(1, i4(2))], op("=", col(1), i4(4))), store)


async def test_rows_that_changed_while_waiting_are_checked_again(store):
    """A row that no longer matches is updated, or a newer value is lost."""
    add = Call(fn("+", "int4"), (col(2), i4(1)), INT4)

    def other_transaction(_keys):
        fill(store, T, [(1, 500, "x"), (2, 15, "y")])
        for key in [k for k, v in store.values.items() if v == b""]:
            del store.values[key]

    where = op("<", col(2), i4(100))
    ctx = await run(
        update(T, [(2, add)], where, returning=True), store, before_lock=other_transaction
    )
    assert ctx.result == (1, [(2, 16, "y")])


async def test_delete_removes_rows_and_entries(store):
    """Index entries of deleted rows stay."""
    ctx = await run(delete(T, op("=", col(2), i4(10)), returning=True), store)
    assert ctx.result == (1, [(1, 10, "x")])
    assert (await run(delete(T), store)).result == (2, [])
    assert store.values == {}


P = make_table(
    [("id", INT4), ("k", INT4)],
    ("id",),
    table_id=40000,
    name="p",
    indexes=[("p_k", ("k",), True)],
)


def child(on_delete=FkAction.NO_ACTION, on_update=FkAction.NO_ACTION, *, indexed=True, **fields):
    key = ForeignKeyDesc(1, "c_p_fkey", (2,), P.id, (1,), on_update, on_delete, **fields)
    return make_table(
        [("x", INT4), ("p", INT4)], ("x",), table_id=50000, name="c", foreign_keys=(key,),
        indexes=[("c_p", ("p",), False)] if indexed else [],
    )  # fmt: skip


@pytest.fixture
def family():
    def make(table):
        store = MemoryStore()
        fill(store, P, [(1, 1), (2, 2)])
        fill(store, table, [(10, 1), (11, 1), (12, 2), (13, None)])
        return store

    return make


async def test_children_need_their_parents(family):
    """References to nothing are stored."""
    c = child()
    store = family(c)
    await run(insert(c, [(20, 2), (21, None)]), store, tables=(P, c))
    with pytest.raises(ForeignKeyViolation) as caught:
        await run(insert(c, [(22, 9)]), store, tables=(P, c))
    assert caught.value.message == (
        'insert or update on table "c" violates foreign key constraint "c_p_fkey"'
    )
    assert caught.value.detail == 'Key (p)=(9) is not present in table "p".'
    with pytest.raises(ForeignKeyViolation):
        await run(update(c, [(2, i4(9))]), store, tables=(P, c))


@pytest.mark.parametrize("indexed", [True, False])
async def test_parents_may_not_leave_their_children(family, indexed):
    """Deleting a parent leaves dangling references."""
    c = child(indexed=indexed)
    store = family(c)
    for bound in (
        delete(P, op("=", col(1), i4(1))),
        update(P, [(1, i4(7))], op("=", col(1), i4(1))),
    ):
        with pytest.raises(ForeignKeyViolation) as caught:
            await run(bound, store, tables=(P, c))
        assert caught.value.message == (
            'update or delete on table "p" violates foreign key constraint "c_p_fkey" on table "c"'
        )
        assert caught.value.detail == 'Key (id)=(1) is still referenced from table "c".'
    await run(update(P, [(2, i4(7))], op("=", col(1), i4(1))), store, tables=(P, c))


@pytest.mark.parametrize("indexed", [True, False])
async def test_cascades(family, indexed):
    """ON DELETE CASCADE, SET NULL and ON UPDATE CASCADE do something else."""
    c = child(FkAction.CASCADE, FkAction.CASCADE, indexed=indexed)
    store = family(c)
    await run(update(P, [(1, i4(7))], op("=", col(1), i4(1))), store, tables=(P, c))
    assert stored(store, c) == [(10, 7), (11, 7), (12, 2), (13, None)]
    await run(delete(P, op("=", col(1), i4(7))), store, tables=(P, c))
    assert stored(store, c) == [(12, 2), (13, None)]
    c = child(FkAction.SET_NULL, indexed=indexed)
    store = family(c)
    await run(delete(P), store, tables=(P, c))
    assert stored(store, c) == [(10, None), (11, None), (12, None), (13, None)]


async def test_self_references_within_one_statement():
    """A tree cannot be inserted or deleted by one statement."""
    key = ForeignKeyDesc(1, "n_fkey", (2,), 60000, (1,), FkAction.NO_ACTION, FkAction.NO_ACTION)
    n = make_table(
        [("id", INT4), ("up", INT4)], ("id",), table_id=60000, name="n", foreign_keys=(key,)
    )
    store = MemoryStore()
    await run(insert(n, [(1, 2), (2, None), (3, 3)]), store, tables=(n,))
    with pytest.raises(ForeignKeyViolation):
        await run(delete(n, op("=", col(1), i4(2))), store, tables=(n,))
    await run(delete(n), store, tables=(n,))
    assert stored(store, n) == []
