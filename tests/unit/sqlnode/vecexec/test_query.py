"""Running queries: errors, cancellation, volatile calls, constants, overflow, EXPLAIN."""

import asyncio
from decimal import Decimal

import pytest

from pgwire.errors import FeatureNotSupported, QueryCanceled
from pgwire.sql_error import SqlError
from sqlnode.functions.registry import REGISTRY, Function, Volatility
from sqlnode.plan.logical import Limit, LockRows, OutColumn, Sort, VirtualScan
from sqlnode.plan.scalar import (
    Call,
    Case,
    ColumnRef,
    Const,
    IsNull,
    Param,
    ScalarSubquery,
    SortKey,
)
from sqlnode.plan.statement import Query
from sqlnode.types import INT4, INT8, NUMERIC, TEXT
from sqlnode.vecexec.query import compile_query
from tests.unit.sqlnode.vecexec.running import collect, context, project, run, values


def op(symbol, left, right):
    return next(
        o.function for o in REGISTRY.operators[symbol] if o.left == left and o.right == right
    )


def call(symbol, left, right, result=None):
    function = op(symbol, left.type.bare, right.type.bare)
    return Call(function, (left, right), result or function.result)


A = ColumnRef(1, INT4)


def test_division_by_zero_has_its_sqlstate():
    """A client that handles 22012 must not see an engine's text."""
    with pytest.raises(SqlError) as caught:
        run(project(values([INT4], [(1,)]), call("/", Const(1, INT4), call("-", A, A))))
    assert caught.value.sqlstate == "22012"
    assert caught.value.message == "division by zero"


def test_overflow_names_the_type():
    """`integer out of range` is how applications recognise a full counter."""
    with pytest.raises(SqlError) as caught:
        run(project(values([INT4], [(2**31 - 1,)]), call("+", A, Const(1, INT4))))
    assert (caught.value.sqlstate, caught.value.message) == ("22003", "integer out of range")


def test_case_guards_its_branches():
    """CASE WHEN x <> 0 THEN 1 / x is the way to avoid an error; it must work."""
    guarded = Case(
        ((call("=", A, Const(0, INT4)), Const(0, INT4)),), call("/", Const(6, INT4), A), INT4
    )
    assert run(project(values([INT4], [(0,), (2,)]), guarded)) == [(0,), (3,)]


def test_python_errors_arrive_whole():
    """Detail and hint of an error that a function raises must not be lost on the way."""

    def fail(value):
        raise SqlError("no", sqlstate="22023", detail="why", hint="do")

    function = Function("fail", (INT4,), INT4, fail)
    with pytest.raises(SqlError) as caught:
        run(project(values([INT4], [(1,)]), Call(function, (A,), INT4)))
    assert (caught.value.sqlstate, caught.value.detail, caught.value.hint) == ("22023", "why", "do")


def test_volatile_calls_run_for_every_row():
    """random() that is the same in every row ruins samples."""
    seen = iter(range(100))
    function = Function(
        "next", (), INT4, lambda: next(seen), volatility=Volatility.VOLATILE, strict=False
    )
    rows = run(project(values([INT4], [(1,), (2,), (3,)]), Call(function, (), INT4)))
    assert sorted(rows) == [(0,), (1,), (2,)]


def test_stable_calls_run_once():
    """now() must be one moment for the whole statement."""
    calls = []

    def moment(ctx):
        calls.append(ctx)
        return 7

    function = Function(
        "moment", (), INT4, moment, volatility=Volatility.STABLE, needs_context=True
    )
    rows = run(project(values([INT4], [(1,), (2,)]), Call(function, (), INT4)))
    assert (rows, len(calls)) == ([(7,), (7,)], 1)


async def test_coroutine_functions_run_on_the_loop():
    """nextval() in a large INSERT … SELECT asks the KV node for every row."""
    asked = []

    async def ask(ctx, value):
        await asyncio.sleep(0)
        asked.append(value)
        return value * 10

    function = Function(
        "ask", (INT4,), INT4, ask,
        volatility=Volatility.VOLATILE, needs_context=True, is_async=True,
    )  # fmt: skip
    rows = await collect(project(values([INT4], [(1,), (2,)]), Call(function, (A,), INT4)))
    assert sorted(rows) == [(10,), (20,)]
    assert sorted(asked) == [1, 2]


def test_parameters_are_data():
    """A quote in a parameter must never become SQL."""
    hostile = "x'; drop table t; --"
    scalars = (Param(1, TEXT), Param(2, INT4), Param(3, NUMERIC), IsNull(Param(2, INT4)))
    ctx = context([hostile, None, Decimal("1.50")])
    assert run(project(None, *scalars), ctx=ctx) == [(hostile, None, Decimal("1.50"), True)]


def test_numeric_overflow_of_decimal_falls_back_to_text():
    """Numeric has no limit in PostgreSQL; the fast form's limit must not show."""
    big = Decimal(10**37)
    plan = values([NUMERIC], [(big,), (Decimal("2"),)])
    column = ColumnRef(1, NUMERIC)
    rows = run(project(plan, call("*", column, column), call("+", column, Const(big, NUMERIC))))
    wanted = [(10**74, 2 * 10**37), (4, 10**37 + 2)]
    assert [tuple(map(int, row)) for row in rows] == wanted


def test_display_scale_survives():
    """1.50 and 1.5 are equal but must print as they were written."""
    rows = run(values([NUMERIC], [(Decimal("1.50"),), (Decimal("1.5"),), (None,)]))
    assert [str(row[0]) for row in rows] == ["1.50", "1.5", "None"]


def test_scalar_subquery_with_two_rows():
    """A report that assumed one row must fail, not take any."""
    many = ScalarSubquery(values([INT4], [(1,), (2,)]), INT4)
    with pytest.raises(SqlError) as caught:
        run(project(None, many))
    assert caught.value.sqlstate == "21000"


def test_negative_limit():
    """2201W tells the client which clause was wrong."""
    with pytest.raises(SqlError) as caught:
        run(Limit(values([INT4], [(1,)]), Const(-1, INT8), None))
    assert caught.value.sqlstate == "2201W"


def test_nulls_are_placed_as_asked():
    """Pagination by NULLS FIRST breaks if they move."""
    plan = values([INT4], [(1,), (None,), (2,)])
    assert run(Sort(plan, (SortKey(A, False, True),))) == [(None,), (1,), (2,)]
    assert run(Sort(plan, (SortKey(A, True, False),))) == [(2,), (1,), (None,)]


def test_row_locks_are_refused_by_name():
    """A lock that is silently not taken loses updates."""
    with pytest.raises(FeatureNotSupported, match="FOR UPDATE"):
        run(LockRows(values([INT4], [(1,)]), "update", "block"))


def _slow_plan():
    """A query that never ends within a test: a large product."""
    rows = [(i,) for i in range(300)]
    from sqlnode.plan.logical import Join

    plan = values([INT4], rows)
    for n in range(4):
        plan = Join("cross", plan, values([INT4], rows, first_id=10 + n))
    return project(plan, call("*", ColumnRef(1, INT4), ColumnRef(10, INT4)))


async def test_cancelled_task_interrupts_the_engine():
    """A client that goes away must not leave a core busy."""
    ctx = context()
    limited = Sort(_slow_plan(), (SortKey(ColumnRef(1000, INT4)),))
    task = asyncio.ensure_future(collect(limited, ctx=ctx))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_cancel_request_is_57014():
    """Ctrl-C in psql."""
    ctx = context()
    ctx.cancelled = lambda: True
    limited = Sort(_slow_plan(), (SortKey(ColumnRef(1000, INT4)),))
    with pytest.raises(QueryCanceled):
        await asyncio.wait_for(collect(limited, ctx=ctx), 5)


async def test_rows_stream_before_the_query_ends():
    """A client that reads the first page must not wait for billions of rows."""
    query = compile_query(Query(_slow_plan(), _slow_plan().columns))
    batches = query.run(context())
    assert len(await anext(batches)) > 0
    await asyncio.wait_for(batches.aclose(), 5)


def test_system_relations_are_read(monkeypatch):
    """psql's \\d and every driver's introspection join these."""
    from sqlnode.catalog import virtual

    async def rows(catalog, ctx):
        return [(1, "x")]

    relation = virtual.VirtualRelation("pg_catalog", "pg_x", 1, (("a", INT4), ("b", TEXT)), rows)
    monkeypatch.setitem(virtual.VIRTUAL, "pg_catalog.pg_x", relation)
    scan = VirtualScan("pg_catalog.pg_x", (OutColumn(1, "b", TEXT, 0, 2),), "pg_x")
    assert run(scan) == [("x",)]


def test_unknown_comparison_is_not_false():
    """NULL = 1 keeps no row, and NOT (NULL = 1) keeps none either."""
    rows = run(project(values([INT4], [(None,)]), call("=", A, Const(1, INT4))))
    assert rows == [(None,)]
