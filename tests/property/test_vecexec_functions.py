"""Every registry template must answer as the Python callable beside it does."""

import asyncio
import math
import random
from decimal import Decimal
from itertools import product

import pytest

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.datum import Interval
from pgwire.sql_error import SqlError
from sqlnode.functions.floats import single
from sqlnode.functions.registry import REGISTRY, Volatility
from sqlnode.plan.scalar import Call, ColumnRef
from sqlnode.types import element_of
from sqlnode.vecexec.calendar_calls import TEMPLATES
from tests.unit.sqlnode.vecexec.running import collect, project, values

POOLS = {
    "bool": [True, False],
    "int2": [0, 1, -1, 2, 7, -13, 32767, -32768],
    "int4": [0, 1, -1, 2, 3, 7, -13, 2**31 - 1, -(2**31)],
    "int8": [0, 1, -1, 2, 7, -13, 2**63 - 1, -(2**63)],
    "float4": [0.0, 1.5, -2.25, single(1e30), single(0.1), math.inf, -math.inf, math.nan],
    "float8": [0.0, 0.5, 1.5, 2.5, -2.5, 3.7, 1e300, 1e-300, math.inf, -math.inf, math.nan],
    "numeric": [Decimal(t) for t in ("0", "1.50", "-2.5", "3.14159", "1e20", "0.001", "NaN")],
    "text": ["", "a", "Abc", "né", "a%b", " x ", "12", "hello world", "aaa", "it's"],
    "varchar": ["", "a", "Abc"],
    "bpchar": ["a  ", "Abc", ""],
    "name": ["a", "Abc"],
    "bytea": [b"", b"a\x00", b"\xff\x01\x02"],
    "date": [0, 1, -1, 59, 4800, 2**31 - 1, -(2**31), -10_958],
    "time": [0, 1, 3_600_000_000, 86_399_999_999, 86_400_000_000],
    "timestamp": [
        0, 1, -1, 4_800 * 86_400_000_000 + 5_400_000_001, -31_536_000_000_000_000,
        2**63 - 1, -(2**63), 5_097_600_000_000,
    ],
    "timestamptz": [0, 1, -1, 4_800 * 86_400_000_000 + 5_400_000_001],
    "interval": [
        Interval(0, 0, 0), Interval(1, 2, 3), Interval(0, 30, 0), Interval(-1, 0, 5),
        Interval(1, 30, 86_400_000_000), Interval(13, -1, -1),
    ],
    "uuid": [bytes(16), bytes(range(16))],
    "oid": [0, 1, 2**32 - 1],
    "xid8": [0, 5],
}  # fmt: skip
SAMPLES = 40


def _candidates():
    for entries in REGISTRY.functions.values():
        for function in entries:
            is_plain = function.volatility is Volatility.IMMUTABLE and not function.needs_context
            if not _is_rendered(function) or function.python is None or not is_plain:
                continue
            if function.returns_set or function.specialize or function.variadic:
                continue
            if all(_pool(t) for t in function.arguments):
                yield function
    for rule in REGISTRY.casts.values():
        function = rule.function
        if function is None or function.needs_context or function.python is None:
            continue
        if not _is_rendered(function):
            continue
        if all(_pool(t) for t in function.arguments):
            yield function


def _is_rendered(function):
    names = (function.name, *(t.name for t in function.arguments))
    return function.duck is not None or names in TEMPLATES


def _pool(sql_type):
    element = element_of(sql_type)
    if element is not None:
        inner = POOLS.get(element.name)
        return inner and [[], inner[:2], [inner[0], None, inner[-1]]]
    return POOLS.get(sql_type.name)


def _expected(function, args):
    if function.strict and None in args:
        return None
    try:
        return function.python(*args)
    except SqlError as error:
        return error
    except (ArithmeticError, ValueError, TypeError) as error:
        return error


def _same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or math.isclose(a, b, rel_tol=1e-14)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


async def _outcome(function, rows):
    source = values(function.arguments, rows)
    args = tuple(ColumnRef(c.id, c.type) for c in source.columns)
    try:
        return [
            row[0] for row in await collect(project(source, Call(function, args, function.result)))
        ]
    except SqlError as error:
        return error


async def _differences(function):
    rng = random.Random(function.name)
    choices = [[*_pool(t), None] for t in function.arguments]
    combinations = list(product(*choices)) if math.prod(map(len, choices)) < 5000 else [
        tuple(rng.choice(c) for c in choices) for _ in range(1000)
    ]  # fmt: skip
    combinations = rng.sample(combinations, min(SAMPLES, len(combinations)))
    expected = [(args, _expected(function, args)) for args in combinations]
    fine = [(args, want) for args, want in expected if not isinstance(want, Exception)]
    wrong = []
    if fine:
        found = await _outcome(function, [args for args, _ in fine])
        if isinstance(found, SqlError):
            for args, want in fine:
                one = await _outcome(function, [args])
                if isinstance(one, SqlError):
                    wrong.append((args, want, one))
        else:
            wrong += [
                (args, want, got)
                for (args, want), got in zip(fine, found, strict=True)
                if not _same(got, want)
            ]
    for args, want in [pair for pair in expected if isinstance(pair[1], SqlError)][:2]:
        found = await _outcome(function, [args])
        if not isinstance(found, SqlError) or found.sqlstate != want.sqlstate:
            wrong.append((args, want, found))
    return wrong


def _shown(function):
    return f"{function.name}({', '.join(map(str, function.arguments))}) as {function.duck}"


@pytest.mark.parametrize("part", range(8))
def test_templates_agree(part):
    """A template that differs gives one answer for a small table and another for a large one."""

    async def check():
        wrong = {}
        for function in list(_candidates())[part::8]:
            found = await _differences(function)
            if found:
                wrong[_shown(function)] = found[:3]
        return wrong

    wrong = asyncio.run(check())
    assert not wrong, "\n".join(f"{name}: {cases}" for name, cases in wrong.items())
