"""Queries in rowexec: which path they take, and that they answer rightly."""

import pytest

from pgwire.errors import InvalidRowCountInLimitClause
from sqlnode.functions.registry import Aggregate
from sqlnode.plan.logical import (
    Aggregation,
    Filter,
    Join,
    Limit,
    LockRows,
    OutColumn,
    Project,
    Scan,
    SingleRow,
    Sort,
    Values,
)  # fmt: skip
from sqlnode.plan.scalar import (
    AggregateCall,
    And,
    AnyAll,
    Call,
    Const,
    InList,
    Param,
    SortKey,
)  # fmt: skip
from sqlnode.plan.statement import Query
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import compile_query
from sqlnode.types import BOOL, INT4, INT8, TEXT, SqlType
from tests.fakes.memory_txn import MemoryStore
from tests.unit.sqlnode.rowexec.context import fill, make_ctx, rows_of
from tests.unit.sqlnode.rowexec.nodes import col, fn, i4, op
from tests.unit.sqlnode.rowexec.tables import make_table

T = make_table(
    [("a", INT4), ("b", INT4), ("c", TEXT)],
    indexes=[("t_b", ("b",), False), ("t_c", ("c",), True)],
)
U = make_table([("x", INT4), ("y", INT4)], ("x", "y"), table_id=30000, name="u")
A, B, C, X, Y = range(1, 6)
SCAN = Scan(
    T,
    (
        OutColumn(A, "a", INT4, T.id, 1), OutColumn(B, "b", INT4, T.id, 2),
        OutColumn(C, "c", TEXT, T.id, 3),
    ),
    "t",
)  # fmt: skip
SCAN_U = Scan(U, (OutColumn(X, "x", INT4, U.id, 1), OutColumn(Y, "y", INT4, U.id, 2)), "u")
ROWS = [(n, n % 10, f"c{n:03}") for n in range(100)]


@pytest.fixture
def store():
    store = MemoryStore()
    fill(store, T, ROWS)
    fill(store, U, [(n % 10, n) for n in range(50)])
    return store


async def run(plan, store, *params, columns=None, fallback=None):
    query = Query(plan, columns or plan.columns)
    ctx = make_ctx(*params, store=store)
    ctx.rows = await rows_of(compile_query(query, ctx.catalog, fallback), ctx)
    return ctx


def p(n, sql_type=INT4):
    return Param(n, sql_type)


async def test_primary_key_equality_is_one_get(store):
    """A point read scans, or costs more than one round trip."""
    ctx = await run(Filter(SCAN, op("=", col(A), p(1))), store, 7)
    assert ctx.rows == [ROWS[7]]
    assert ctx.txn.round_trips == ["get"]
    ctx = await run(Filter(SCAN, op("=", col(A), p(1))), store, None)
    assert ctx.rows == []
    assert ctx.txn.round_trips == []
    ctx = await run(Filter(SCAN, op("=", p(1, INT8), col(A))), store, 7)
    assert ctx.rows == [ROWS[7]]


async def test_in_lists_are_one_multi_get(store):
    """IN (…) costs a round trip for each item, or gives a row twice."""
    eq = fn("=", "int4")
    plan = Filter(SCAN, InList(col(A), (i4(3), p(1), i4(3), i4(None), i4(999)), eq))
    ctx = await run(plan, store, 5)
    assert sorted(ctx.rows) == [ROWS[3], ROWS[5]]
    assert ctx.txn.round_trips == ["multi_get"]
    plan = Filter(SCAN, AnyAll(col(A), Param(1, SqlType(1007)), eq, False))
    assert (await run(plan, store, [1, 2, None])).rows == [ROWS[1], ROWS[2]]
    assert (await run(plan, store, None)).rows == []


async def test_unique_secondary_index_leads_to_the_row(store):
    """A lookup by a unique column reads the whole table."""
    plan = Filter(SCAN, And((op("=", col(C, TEXT), p(1, TEXT)), op("<", col(B), i4(5)))))
    ctx = await run(plan, store, "c042")
    assert ctx.rows == [ROWS[42]]
    assert ctx.txn.round_trips == ["get", "get"]
    assert (await run(plan, store, "c047")).rows == []


async def test_ranges_orders_and_limits_use_indexes(store):
    """ORDER BY … LIMIT reads and sorts everything."""
    condition = And((op(">", col(A), p(1)), op("<=", col(A), i4(90))))
    plan = Limit(Sort(Filter(SCAN, condition), (SortKey(col(A), True, True),)), p(2, INT8), None)
    ctx = await run(plan, store, 10, 3)
    assert ctx.rows == [ROWS[90], ROWS[89], ROWS[88]]
    assert ctx.txn.round_trips == ["scan"]
    plan = Sort(Filter(SCAN, op("=", col(B), i4(3))), (SortKey(col(A)),))
    assert [row[0] for row in (await run(plan, store)).rows] == list(range(3, 100, 10))
    plan = Limit(Sort(SCAN, (SortKey(col(B)), SortKey(col(A), True, True))), i4(2), i4(1))
    assert [row[0] for row in (await run(plan, store)).rows] == [80, 70]


async def test_limit_refuses_negative_counts(store):
    """LIMIT -1 returns everything."""
    with pytest.raises(InvalidRowCountInLimitClause):
        await run(Limit(SCAN, i4(-1), None), store)
    assert (await run(Limit(SCAN, Const(None, INT8), i4(98)), store)).rows == ROWS[98:]


async def test_nulls_sort_where_sql_says(store):
    """NULLs come first although nobody asked."""
    plan = Values(((i4(2),), (i4(None),), (i4(1),)), (OutColumn(9, "v", INT4),))
    for descending, nulls_first, wanted in (
        (False, False, [1, 2, None]), (False, True, [None, 1, 2]),
        (True, True, [None, 2, 1]), (True, False, [2, 1, None]),
    ):  # fmt: skip
        ctx = await run(Sort(plan, (SortKey(col(9), descending, nulls_first),)), store)
        assert [row[0] for row in ctx.rows] == wanted


async def test_index_joins_fetch_inner_rows_in_one_batch(store):
    """A join of ten rows costs ten round trips."""
    eq = op("=", col(Y), col(A))
    plan = Filter(Join("inner", SCAN_U, SCAN, eq), op("=", col(X), i4(3)))
    ctx = await run(plan, store)
    assert sorted(ctx.rows) == [(3, n, n, 3, f"c{n:03}") for n in range(3, 50, 10)]
    assert ctx.txn.round_trips == ["scan", "multi_get"]
    # The other way round: t by key drives u by its primary prefix.
    plan = Filter(Join("inner", SCAN_U, SCAN, op("=", col(X), col(A))), op("=", col(A), i4(3)))
    assert len((await run(plan, store)).rows) == 5


async def test_left_join_keeps_unmatched_rows(store):
    """A LEFT JOIN loses rows."""
    on = And((op("=", col(A), col(X)), op(">", col(Y), i4(45))))
    plan = Filter(Join("left", SCAN, SCAN_U, on), op("<", col(A), i4(8)))
    rows = (await run(plan, store)).rows
    assert [row[3:] for row in rows] == [(None, None)] * 6 + [(6, 46), (7, 47)]


async def test_projection_pushes_conditions_through_views(store):
    """A view over a table is scanned whole for one key."""
    view = Project(SCAN, (OutColumn(20, "k", INT4), OutColumn(21, "d", INT4)),
                   (col(A), Call(fn("+", "int4"), (col(B), i4(1)), INT4)))  # fmt: skip
    ctx = await run(Filter(view, op("=", col(20), i4(7))), store)
    assert ctx.rows == [(7, 8)]
    assert ctx.txn.round_trips == ["get"]


class Count:
    def __init__(self):
        self.n = 0

    def step(self, *_):
        self.n += 1

    def final(self):
        return self.n


async def test_small_aggregates_run_here_and_large_ones_do_not(store):
    """A full scan of a large table runs in Python, or a small one pays for DuckDB."""
    count = AggregateCall(Aggregate("count", (), INT8, Count), (), INT8, star=True)
    columns = (OutColumn(30, "b", INT4),), (OutColumn(31, "n", INT8),)
    plan = Aggregation(SCAN, columns[0], (col(B),), columns[1], (count,))
    with pytest.raises(NotRowShape):
        await run(plan, store)

    class Vectors:
        async def run(self, ctx):
            yield [("vec",)]

    ctx = await run(plan, store, fallback=Vectors)
    assert sorted(ctx.rows) == [(n, 10) for n in range(10)]
    fill(store, T, [(n, 0, f"d{n}") for n in range(100, 3000)])
    assert (await run(plan, store, fallback=Vectors)).rows == [("vec",)]


async def test_for_update_locks_by_key_without_reading_first(store):
    """Contended rows conflict instead of queueing."""
    found = Filter(SCAN, op("=", col(A), i4(3)))
    plan = LockRows(Project(found, (OutColumn(40, "b", INT4),), (col(B),)), "update", "block")
    ctx = await run(plan, store)
    assert ctx.rows == [(3,)]
    assert ctx.txn.round_trips == ["lock"]


async def test_skip_locked_locks_no_more_rows_than_the_limit(store):
    """One worker of a queue locks all jobs."""
    order = (SortKey(col(A)),)
    where = Filter(SCAN, op("=", col(B), i4(3)))
    ctx = await run(Limit(LockRows(Sort(where, order), "update", "skip"), i4(2), None), store)
    assert [row[0] for row in ctx.rows] == [3, 13]
    assert len(ctx.txn.locked) == 2


async def test_select_without_from_and_values(store):
    """SELECT 1 fails."""
    plan = Project(SingleRow(), (OutColumn(50, "x", INT4),), (i4(1),))
    assert (await run(plan, store)).rows == [(1,)]
    plan = Project(SingleRow(), (OutColumn(50, "x", BOOL),), (op("=", i4(1), p(1)),))
    assert (await run(plan, store, 1)).rows == [(True,)]
