"""The load generators measure what they say."""

import asyncio

import pytest

from bench.load import closed_loop, open_loop, summarize
from bench.ticker import Ticker


def test_percentiles():
    """The report would print wrong latencies."""
    assert summarize([n * 1_000_000 for n in range(1, 101)])[0] == pytest.approx(50, rel=0.01)
    assert summarize([n * 1_000_000 for n in range(1, 101)])[1] == pytest.approx(99, rel=0.01)
    assert summarize([5_000]) == (0.005, 0.005, 0.005)


async def test_closed_loop_keeps_its_number_in_flight():
    """The column "in flight" would be a lie."""
    now, most = 0, 0

    async def ask(turn):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    done = await closed_loop("x", ask, in_flight=5, seconds=0.5)
    assert most == 5
    assert now == 0
    assert done.count >= 5
    assert done.p50_ms >= 1


async def test_open_loop_counts_waiting_for_a_stalled_server():
    """Coordinated omission: a stall would show in one latency instead of all that it delayed."""

    async def ask(turn):
        if turn == 1:
            await asyncio.sleep(0.1)

    done = await open_loop("x", ask, rate_per_s=500, seconds=0.1, in_flight_max=1)
    assert done.count == 50
    assert done.unanswered == 0
    # All fifty were due while the first one held the only worker.
    assert done.p50_ms > 20


async def test_open_loop_reports_what_was_never_answered():
    """A server that answers nothing would look as fast as one that answers."""

    async def ask(turn):
        await asyncio.Event().wait()

    done = await open_loop("x", ask, rate_per_s=200, seconds=0.05, in_flight_max=2)
    assert (done.count, done.unanswered) == (0, 10)
    assert done.p99_ms >= 50


async def test_failures_end_the_load():
    """Errors would be counted as fast answers."""

    async def ask(turn):
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        await open_loop("x", ask, rate_per_s=200, seconds=0.05, in_flight_max=2)
    with pytest.raises(ExceptionGroup):
        await closed_loop("x", ask, in_flight=2, seconds=0.05)


async def test_ticker():
    """Open loops would be late by the event loop's whole milliseconds, or never end."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with Ticker(0.0005) as ticker:
        for _ in range(20):
            await ticker.wait()
    assert loop.time() - start >= 0.009
