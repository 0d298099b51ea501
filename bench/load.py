"""Closed-loop and open-loop load in one asyncio process, and what came of it.

**Closed loop**: as many workers as requests in flight, each asking again when its answer came. It
finds the highest rate, but a server that stalls also stops the load, so that few requests see the
stall ("coordinated omission").

**Open loop**: requests are due at fixed times, whatever the server does. A latency runs from when
the request was *due*: waiting because all workers were still busy with late answers counts.

Latencies are kept in an array while the load runs and put into an HDR histogram (three significant
digits) afterwards, so that counting costs the generator nothing while it measures.

Source: G. Tene, "How NOT to Measure Latency"; http://hdrhistogram.org.
"""

import asyncio
import resource
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from time import perf_counter_ns
from typing import Any, Final

from hdrh.histogram import HdrHistogram

from bench.ticker import Ticker

Ask = Callable[[int], Awaitable[None]]
_LATENCY_NS_MAX: Final = 3_600 * 10**9
_DIGITS: Final = 3
_TICK_S_MIN: Final = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One load of one kind of request."""

    name: str
    loop: str  # closed or open
    in_flight: int  # open loop: the bound, not the number reached
    due_per_s: float  # open loop: rate asked for; closed loop: 0
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    count: int
    unanswered: int  # open loop: due, but not answered when the load ended
    generator_cpu: float  # cores that this process used
    generator_cpu_us: float  # per answer

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


async def closed_loop(name: str, ask: Ask, *, in_flight: int, seconds: float) -> Measurement:
    """Keep `in_flight` requests on the way for `seconds`; `ask` gets a running number."""
    latencies = array("q")
    turn = 0
    meter = _Meter()
    deadline = meter.start_ns + int(seconds * 1e9)

    async def work() -> None:
        nonlocal turn
        while (start := perf_counter_ns()) < deadline:
            turn += 1
            await ask(turn)
            latencies.append(perf_counter_ns() - start)

    async with asyncio.TaskGroup() as workers:
        for _ in range(in_flight):
            workers.create_task(work())
    return meter.measurement(name, latencies, loop="closed", in_flight=in_flight)


async def open_loop(
    name: str, ask: Ask, *, rate_per_s: float, seconds: float, in_flight_max: int
) -> Measurement:
    """Ask at fixed times for `seconds`; the load ends at the latest `seconds` after the last one.

    Requires: a running loop that watches files (every loop on Linux does).
    """
    latencies = array("q")
    # Bound: never longer than the schedule itself.
    due: asyncio.Queue[int | None] = asyncio.Queue()
    request_count = max(int(rate_per_s * seconds), 1)
    turn = 0
    meter = _Meter()

    async def work() -> None:
        nonlocal turn
        while (due_ns := await due.get()) is not None:
            turn += 1
            await ask(turn)
            latencies.append(perf_counter_ns() - due_ns)

    workers = [asyncio.ensure_future(work()) for _ in range(in_flight_max)]
    await _schedule(due, meter.start_ns, rate_per_s, request_count)
    for _ in workers:
        due.put_nowait(None)
    _, late = await asyncio.wait(workers, timeout=seconds)
    end_ns = perf_counter_ns()
    for worker in late:
        worker.cancel()
    await asyncio.wait(workers)
    errors = [worker.exception() for worker in workers if not worker.cancelled()]
    for error in filter(None, errors):
        raise error
    unanswered = request_count - len(latencies)
    for index in range(request_count - unanswered, request_count):
        latencies.append(end_ns - meter.start_ns - int(index / rate_per_s * 1e9))
    return meter.measurement(
        name,
        latencies,
        loop="open",
        in_flight=in_flight_max,
        due_per_s=rate_per_s,
        unanswered=unanswered,
    )


async def _schedule(
    due: "asyncio.Queue[int | None]", start_ns: int, rate_per_s: float, request_count: int
) -> None:
    """Put each request's due time into `due` when it comes."""
    gap_ns = 1e9 / rate_per_s
    issued = 0
    with Ticker(max(1 / rate_per_s, _TICK_S_MIN)) as ticker:
        while issued < request_count:
            await ticker.wait()
            now_ns = perf_counter_ns()
            while issued < request_count and (at := start_ns + int(issued * gap_ns)) <= now_ns:
                due.put_nowait(at)
                issued += 1


def summarize(latencies_ns: "array[int] | list[int]") -> tuple[float, float, float]:
    """Return median, 99th percentile and maximum in milliseconds.

    >>> summarize([1_000_000, 2_000_000, 3_000_000])
    (2.0, 3.0, 3.0)
    """
    histogram = HdrHistogram(1, _LATENCY_NS_MAX, _DIGITS)
    for value, count in Counter(latencies_ns).items():
        histogram.record_value(max(value, 1), count)
    p50, p99 = (histogram.get_value_at_percentile(p) / 1e6 for p in (50, 99))
    return _significant(p50), _significant(p99), _significant(max(latencies_ns) / 1e6)


def _significant(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


class _Meter:
    """Time and CPU time since it was made."""

    def __init__(self) -> None:
        self._cpu_start_s = _cpu_s()
        self.start_ns = perf_counter_ns()

    def measurement(
        self,
        name: str,
        latencies: "array[int]",
        *,
        loop: str,
        in_flight: int,
        due_per_s: float = 0.0,
        unanswered: int = 0,
    ) -> Measurement:
        elapsed_s = (perf_counter_ns() - self.start_ns) / 1e9
        cpu_s = _cpu_s() - self._cpu_start_s
        answered = len(latencies) - unanswered
        p50_ms, p99_ms, max_ms = summarize(latencies)
        return Measurement(
            name=name,
            loop=loop,
            in_flight=in_flight,
            due_per_s=due_per_s,
            rate_per_s=answered / elapsed_s,
            p50_ms=p50_ms,
            p99_ms=p99_ms,
            max_ms=max_ms,
            count=answered,
            unanswered=unanswered,
            generator_cpu=cpu_s / elapsed_s,
            generator_cpu_us=cpu_s / max(answered, 1) * 1e6,
        )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
