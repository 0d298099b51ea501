"""Sequences over counters: CACHE, bounds, currval, and counters whose answer is lost."""

from types import SimpleNamespace

import pytest

from kvapi.errors import CommitAmbiguous, CounterExhausted
from pgwire.errors import (
    NumericValueOutOfRange,
    ObjectNotInPrerequisiteState,
    SequenceGeneratorLimitExceeded,
)
from sqlnode.catalog.descriptors import SequenceDesc
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.sequences import CounterCache, SessionSequences


class FakeCounters:
    """The counters of a KV node; counts requests."""

    def __init__(self):
        self.values = {}
        self.requests = 0

    async def increment(self, key, *, by=1, count=1, start=1, bounds=None, cycle=False):
        self.requests += 1
        value, called = self.values.get(key, (start, False))
        value += by * (count if called else count - 1)
        if bounds and not bounds[0] <= value <= bounds[1]:
            if not cycle:
                raise CounterExhausted("full", number=bounds[1])
            value = bounds[0]
        self.values[key] = value, True
        return SimpleNamespace(value=value, is_called=True)

    async def counter_set(self, key, value, *, is_called=True):
        self.values[key] = value, is_called


def make(**fields):
    desc = SequenceDesc(500, 2200, "s", "o", **fields)
    counters = FakeCounters()
    cache = CounterCache(counters)
    catalog = build_catalog(1, [desc], ())
    return (
        counters,
        SessionSequences(cache, lambda: catalog),
        SessionSequences(cache, lambda: catalog),
    )


async def test_values_are_per_counter_and_currval_per_session():
    """currval shows another session's value."""
    _, a, b = make(start=5, increment=2)
    assert await a.nextval(500) == 5
    assert await b.nextvals(500, 3) == [7, 9, 11]
    assert await a.currval(500) == 5
    assert await b.lastval() == 11


async def test_currval_needs_nextval():
    """currval gives a number that no insert of this session got."""
    _, a, _ = make()
    with pytest.raises(ObjectNotInPrerequisiteState, match='currval of sequence "s" is not yet'):
        await a.currval(500)
    with pytest.raises(ObjectNotInPrerequisiteState, match="lastval is not yet defined"):
        await a.lastval()


async def test_cache_saves_requests_and_setval_drops_it():
    """CACHE does nothing, or setval is ignored until the cache is used up."""
    counters, a, _ = make(cache=10)
    assert [await a.nextval(500) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert counters.requests == 1
    assert await a.setval(500, 100, True) == 100
    assert await a.nextval(500) == 101
    with pytest.raises(NumericValueOutOfRange, match="out of bounds"):
        await a.setval(500, 0, True)


async def test_the_bound_is_reached_exactly():
    """The last values of a sequence are lost, or the error has no name."""
    _, a, _ = make(max_value=3, cache=10)
    assert await a.nextvals(500, 3) == [1, 2, 3]
    with pytest.raises(SequenceGeneratorLimitExceeded, match=r'maximum value of .*"s" \(3\)'):
        await a.nextval(500)
    _, c, _ = make(max_value=2, cycle=True, cache=10)
    assert await c.nextvals(500, 4) == [1, 2, 1, 2]


async def test_row_ids_are_unique_and_come_in_blocks():
    """Two rows without primary key overwrite each other, or each insert costs a round trip."""
    counters, a, b = make()
    ids = [i for s in (a, b) * 50 for i in await s.row_ids(7, 3)]
    other = CounterCache(counters)
    ids += await other.row_ids(7, 1000)
    assert len(set(ids)) == len(ids) == 1300
    assert counters.requests <= 4


async def test_a_lost_connection_costs_a_gap_not_the_statement():
    """Every INSERT into a table with SERIAL would fail as 'completion unknown' at a restart."""
    counters, a, _ = make()
    increment, losses = counters.increment, [True, True, False, False]

    async def lossy(key, **terms):
        counter = await increment(key, **terms)
        if losses.pop(0):
            raise CommitAmbiguous("lost")
        return counter

    counters.increment = lossy
    assert await a.nextval(500) == 3
    assert await a.nextval(500) == 4


async def test_a_connection_that_breaks_each_time_is_told():
    """A statement would try for ever."""
    counters, a, _ = make()

    async def broken(key, **terms):
        counters.requests += 1
        raise CommitAmbiguous("lost")

    counters.increment = broken
    with pytest.raises(CommitAmbiguous):
        await a.nextval(500)
    assert counters.requests == 5
