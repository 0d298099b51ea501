"""numeric in DuckDB, fixed or text, must be PostgreSQL's numeric to the last digit shown."""

import asyncio
import random
from decimal import Decimal

import sqlnode.functions.all  # noqa: F401 - fills the registry
from sqlnode.functions import decimals
from sqlnode.functions.registry import REGISTRY
from sqlnode.plan.logical import Aggregation, OutColumn
from sqlnode.plan.scalar import AggregateCall, Call, Coerce, ColumnRef, Const
from sqlnode.rowexec.coercion import coercion
from sqlnode.types import INT4, NUMERIC, SqlType, numeric_typmod
from tests.unit.sqlnode.vecexec.running import collect, project, values

OPERATORS = ("+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=")
ROUNDS = 30


def _column(rng, count):
    """Return numbers of one scale (fixed form) or of several (text form)."""
    scales = [rng.randrange(12)] if rng.random() < 0.6 else [0, 1, 3, 9]
    digits = rng.choice((2, 6, 12, 25))
    return [
        None
        if rng.random() < 0.1
        else Decimal(rng.randrange(-(10**digits), 10**digits)).scaleb(-rng.choice(scales))
        for _ in range(count)
    ]


def _operator(symbol):
    return next(
        o.function for o in REGISTRY.operators[symbol] if o.left == NUMERIC and o.right == NUMERIC
    )


def _apply(python, *args):
    return None if None in args else python(*args)


def test_operators_and_casts():
    """Invoices are computed with these."""
    rng = random.Random(11)

    async def check():
        for _ in range(ROUNDS):
            rows = [
                (a, b if b != 0 else Decimal("1.5"))
                for a, b in zip(_column(rng, 8), _column(rng, 8), strict=True)
            ]
            a, b = ColumnRef(1, NUMERIC), ColumnRef(2, NUMERIC)
            functions = [_operator(symbol) for symbol in OPERATORS]
            calls = [Call(f, (a, b), f.result) for f in functions]
            places = rng.randrange(-2, 15)
            round_to = next(f for f in REGISTRY.functions["round"] if len(f.arguments) == 2)
            calls.append(Call(round_to, (a, Const(places, INT4)), NUMERIC))
            wide = SqlType(1700, numeric_typmod(38, rng.randrange(8)))
            calls.append(Coerce(a, wide, True))
            found = await collect(project(values([NUMERIC, NUMERIC], rows), *calls))
            fit = coercion(wide, explicit=True)
            for (x, y), got in zip(rows, found, strict=True):
                want = [_apply(f.python, x, y) for f in functions]
                want += [_apply(decimals.round_to, x, places), _apply(fit, x)]
                assert list(map(str, got)) == list(map(str, want)), (x, y)

    asyncio.run(check())


def test_aggregates():
    """A mean that is right to sixteen digits is not the mean that PostgreSQL prints."""
    rng = random.Random(12)
    names = ("sum", "avg", "min", "max", "count", "stddev", "var_pop")
    aggregates = {
        name: next(
            g for g in REGISTRY.aggregates[name]
            if g.arguments == (NUMERIC,) or (name == "count" and g.arguments)
        )
        for name in names
    }  # fmt: skip

    async def check():
        for _ in range(ROUNDS):
            data = _column(rng, rng.randrange(1, 20))
            column = ColumnRef(1, NUMERIC)
            out = tuple(OutColumn(10 + i, n, aggregates[n].result) for i, n in enumerate(names))
            calls = tuple(
                AggregateCall(aggregates[n], (column,), aggregates[n].result) for n in names
            )
            plan = Aggregation(values([NUMERIC], [(d,) for d in data]), (), (), out, calls)
            (got,) = await collect(plan)
            for name, value in zip(names, got, strict=True):
                accumulator = aggregates[name].python()
                for datum in data:
                    accumulator.step(datum)
                want = accumulator.final()
                same = value == want if name in ("min", "max") else str(value) == str(want)
                assert same, (name, data, value, want)

    asyncio.run(check())
