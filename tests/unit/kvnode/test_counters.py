"""Sequences: the arithmetic that PostgreSQL does."""

import pytest

from kvapi.errors import BadRequest, CounterExhausted
from kvnode.txn.counters import INT64_MAX, INT64_MIN, Step, next_value


def test_first_value_is_start_and_setval_is_honoured():
    """nextval after CREATE SEQUENCE or setval(…, false) would skip a value."""
    assert next_value(None, Step(by=1, start=10)) == 10
    assert next_value((10, True), Step(by=1, start=10)) == 11
    assert next_value((10, False), Step(by=1, start=1)) == 10
    assert next_value(None, Step(by=5, start=1, count=3)) == 11


def test_bounds_stop_or_wrap():
    """A sequence at its end would hand out values outside its bounds, or wrap without CYCLE."""
    up, down = Step(by=2, start=1, min=0, max=9), Step(by=-2, start=9, min=0, max=9)
    with pytest.raises(CounterExhausted) as caught:
        next_value((9, True), up)
    assert caught.value.number == 9
    with pytest.raises(CounterExhausted) as caught:
        next_value((1, True), down)
    assert caught.value.number == 0
    assert next_value((9, True), Step(by=2, start=1, min=0, max=9, cycle=True)) == 0
    assert next_value((0, True), Step(by=-2, start=9, min=0, max=9, cycle=True)) == 9


def test_a_run_of_steps_stays_inside():
    """Values beyond the bound would be handed out of a cached run."""
    with pytest.raises(CounterExhausted):
        next_value((5, True), Step(by=1, start=1, min=0, max=9, count=5))
    assert next_value((5, True), Step(by=1, start=1, min=0, max=9, count=4)) == 9
    with pytest.raises(CounterExhausted):
        next_value((INT64_MAX, True), Step(by=1, start=1))
    with pytest.raises(CounterExhausted):
        next_value((INT64_MIN, True), Step(by=-1, start=1))


def test_nonsense_is_refused():
    """A cycle that does not move would loop or answer garbage."""
    with pytest.raises(BadRequest):
        Step(by=0, start=1, cycle=True)
    with pytest.raises(BadRequest):
        Step(by=1, start=1, min=2, max=1)
