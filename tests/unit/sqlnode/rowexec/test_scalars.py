"""Compiled scalars: three-valued logic, and each node's rule."""

import itertools
import operator
from decimal import Decimal

import pytest

import sqlnode.functions.all  # noqa: F401
from pgwire.errors import DivisionByZero, NumericValueOutOfRange, StringDataRightTruncation
from sqlnode.plan.logical import SingleRow
from sqlnode.plan.scalar import (
    And,
    AnyAll,
    ArrayItems,
    BoolTest,
    Call,
    Case,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
    Exists,
    InList,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
    Param,
)  # fmt: skip
from sqlnode.rowexec.evals import is_constant
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_row, compile_scalar
from sqlnode.types import BOOL, BPCHAR, INT4, NUMERIC, TEXT, TIMESTAMP, VARCHAR, SqlType
from tests.unit.sqlnode.rowexec.nodes import col, fn, i4

TRUTHS = (True, False, None)


class Ctx:
    def __init__(self, *params):
        self.params = params


def run(node, row=(), *params, layout=None):
    return compile_scalar(node, layout or {n: n for n in range(len(row))})(row, Ctx(*params))


def b(value):
    return Const(value, BOOL)


@pytest.mark.parametrize(("x", "y"), [*itertools.product(TRUTHS, TRUTHS)])
def test_and_or_not_have_three_values(x, y):
    """WHERE keeps or drops rows that PostgreSQL does not."""
    both = None if None in (x, y) else x and y
    assert run(And((b(x), b(y)))) == (False if False in (x, y) else both)
    either = None if None in (x, y) else x or y
    assert run(Or((b(x), b(y)))) == (True if True in (x, y) else either)
    assert run(Not(b(x))) == (None if x is None else not x)
    equals = fn("=", "bool")
    assert run(IsDistinct(b(x), b(y), equals)) == (x is not y)
    assert run(IsDistinct(b(x), b(y), equals, negated=True)) == (x is y)


def test_and_stops_at_the_first_false():
    """A guarded division fails."""
    failing = Call(fn("=", "int4"), (Call(fn("/", "int4"), (i4(1), i4(0)), INT4), i4(1)), BOOL)
    assert run(And((b(False), failing))) is False
    assert run(Case(((b(False), i4(1)),), i4(2), INT4)) == 2
    with pytest.raises(DivisionByZero):
        run(And((b(True), failing)))


def test_calls_are_strict_and_checked():
    """NULL + 1 is a number, or an overflow goes unnoticed."""
    add = fn("+", "int4")
    assert run(Call(add, (col(0), i4(1)), INT4), (4,)) == 5
    assert run(Call(add, (col(0), i4(1)), INT4), (None,)) is None
    assert run(Call(add, (col(0), i4(None)), INT4), (4,)) is None
    assert run(Call(add, (col(0), Param(1, INT4)), INT4), (4,), 7) == 11
    with pytest.raises(NumericValueOutOfRange):
        run(Call(add, (col(0), col(1)), INT4), (2**31 - 1, 1))


def test_immutable_calls_of_constants_are_computed_once():
    """Each row pays for what never changes."""
    assert is_constant(compile_scalar(Call(fn("+", "int4"), (i4(1), i4(2)), INT4), {}))
    assert not is_constant(compile_scalar(Call(fn("/", "int4"), (i4(1), i4(0)), INT4), {}))


def test_in_list_any_all():
    """NOT IN with a NULL in the list must not be true."""
    eq = fn("=", "int4")
    for items in ((i4(1), i4(None)), (Param(1, INT4), Param(2, INT4))):
        assert run(InList(col(0), items, eq), (1,), 1, None) is True
        assert run(InList(col(0), items, eq), (2,), 1, None) is None
        assert run(InList(col(0), items, eq, negated=True), (2,), 1, None) is None
        assert run(InList(col(0), items, eq, negated=True), (1,), 1, None) is False
    array = ArrayItems((i4(1), i4(2)), SqlType(1007))
    assert run(AnyAll(col(0), array, eq, False), (2,)) is True
    assert run(AnyAll(col(0), array, eq, True), (2,)) is False
    assert run(AnyAll(col(0), Const([], SqlType(1007)), eq, False), (None,)) is False
    assert run(AnyAll(col(0), Const([[1], [5]], SqlType(1007)), eq, False), (5,)) is True


def test_the_other_nodes():
    """One wrong node here is a wrong answer everywhere."""
    assert run(IsNull(col(0)), (None,)) is True
    assert run(IsNull(col(0), negated=True), (None,)) is False
    assert run(BoolTest(b(None), None)) is True
    assert run(BoolTest(b(None), True, negated=True)) is True
    assert run(Coalesce((col(0), i4(3)), INT4), (None,)) == 3
    assert run(NullIf(col(0), i4(3), col(0), fn("=", "int4"), INT4), (3,)) is None
    assert run(MinMax((i4(None), i4(2), i4(5)), fn("<", "int4"), True, INT4)) == 5
    assert run(MinMax((i4(None), i4(2), i4(5)), fn("<", "int4"), False, INT4)) == 2


def test_typmods():
    """Values reach the store that their column cannot hold."""
    varchar = SqlType(VARCHAR.oid, 7)
    assert run(Coerce(Const("abcd", TEXT), varchar, explicit=True)) == "abc"
    assert run(Coerce(Const("abc  ", TEXT), varchar, explicit=False)) == "abc"
    with pytest.raises(StringDataRightTruncation, match=r"character varying\(3\)"):
        run(Coerce(Const("abcd", TEXT), varchar, explicit=False))
    assert run(Coerce(Const("a", TEXT), SqlType(BPCHAR.oid, 7), explicit=False)) == "a  "
    numeric = SqlType(NUMERIC.oid, (4 << 16 | 1) + 4)
    assert str(run(Coerce(Const(Decimal("1.25"), NUMERIC), numeric, explicit=False))) == "1.3"
    assert run(Coerce(Const(-1_500_000, TIMESTAMP), SqlType(1114, 0), explicit=True)) == -2_000_000


def test_subqueries_and_outer_columns_are_refused():
    """A plan that rowexec cannot run is run anyway."""
    with pytest.raises(NotRowShape):
        compile_scalar(Exists(SingleRow()), {})
    with pytest.raises(NotRowShape):
        compile_scalar(ColumnRef(9, INT4), {0: 0})


def test_rows_of_columns_are_picked():
    """A projection gives columns in the wrong order."""
    layout = {5: 1, 6: 0}
    assert compile_row([col(5)], layout)((1, 2), None) == (2,)
    assert compile_row([col(5), col(6)], layout)((1, 2), None) == (2, 1)
    assert compile_row([col(5), i4(9)], layout)((1, 2), None) == (2, 9)
    assert operator.eq(compile_row([], layout)((1, 2), None), ())
