"""Joined rows looked at again. What PostgreSQL does is asked in tests/isolation_specs."""

from sqlnode.functions.registry import REGISTRY
from sqlnode.plan.logical import Filter, Join, OutColumn, Project, Values
from sqlnode.plan.scalar import ColumnRef, Const, IsDistinct, IsNull
from sqlnode.rowexec.plan_parts import parted
from sqlnode.rowexec.second_look import SecondLook
from sqlnode.types import INT4

A, B, C = (OutColumn(n, name, INT4) for n, name in enumerate("abc", 1))
EQUALS = next(f for f in REGISTRY.functions["int4eq"])


def ref(column):
    return ColumnRef(column.id, column.type)


def table(*columns):
    return Values((tuple(Const(0, INT4) for _ in columns),), columns)


def look(plan):
    wide = parted(plan)
    layout = {column.id: n for n, column in enumerate(wide.plan.columns)}
    return SecondLook(wide, layout), [column.name for column in wide.plan.columns]


def same(left, right):
    return IsDistinct(ref(left), ref(right), EQUALS, negated=True)


async def test_a_row_that_no_longer_joins_is_left_out():
    """An UPDATE … FROM would change a row with the values of another's partner."""
    second, names = look(Filter(Join("cross", table(A), table(B)), same(A, B)))
    assert names == ["a", "b"]
    assert await second.rows([(1, 1), (2, 1)], [(1, 1), (1, 1)], None) == [(1, 1), None]


async def test_an_outer_join_loses_its_partner_and_keeps_the_row():
    """A row would be skipped, or show a partner that it no longer has."""
    second, names = look(Join("left", table(A), table(B), same(A, B)))
    assert names == ["a", "b", "found"]
    rows = [(1, 1, True), (2, 1, True), (2, None, None)]
    assert await second.rows(rows, rows, None) == [(1, 1, True), (2, None, None), (2, None, None)]


async def test_what_a_projection_makes_is_made_anew():
    """SET would write what the row was before somebody else changed it."""
    plan = Project(table(A), (C,), (IsNull(ref(A)),))
    second, names = look(plan)
    assert names == ["c", "a"]
    assert await second.rows([(True, 5)], [(True, None)], None) == [(False, 5)]
