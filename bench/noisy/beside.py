"""What a quiet tenant pays for its neighbour: latencies alone, and beside a noisy tenant."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from time import monotonic_ns
from typing import Any, Final

from bench.load import summarize
from bench.noisy import loads, quiet
from bench.noisy.plan import Noise, NoisyPlan
from bench.noisy.processes import Client, running
from bench.noisy.systems import System
from bench.programs import BenchFailed

RATE_PER_S: Final = 50.0
_WARM_S: Final = 1.0
_SETTLE_S_MAX: Final = 60.0
_STALLS: Final = "insula_kvnode_loop_held"
_LONGEST: Final = "insula_kvnode_loop_held_seconds_max"
_UNMOVED: Final = "insula_kvnode_intents_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one kind of request; milliseconds."""

    alone_p50_ms: float
    alone_p99_ms: float
    p50_ms: float
    p99_ms: float
    count: int

    @property
    def p50_ratio(self) -> float:
        return self.p50_ms / self.alone_p50_ms

    @property
    def p99_ratio(self) -> float:
        return self.p99_ms / self.alone_p99_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One scenario on one system in one round."""

    scenario: str
    system: str
    latencies: dict[str, Latency]  # read, commit
    noise_per_s: float
    noise_errors: dict[str, int]  # by SQLSTATE and message
    peak_bytes: int | None
    stalls: float | None  # over 5 ms, during the noise
    longest_stall_s: float | None  # since the start
    timeline: dict[str, list[tuple[float, float]]]  # (seconds since the noise began, milliseconds)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, without the timeline."""
        fields = asdict(self)
        del fields["timeline"]
        for kind, latency in self.latencies.items():
            fields["latencies"][kind] |= {
                "p50_ratio": latency.p50_ratio,
                "p99_ratio": latency.p99_ratio,
            }
        return fields


def measure_beside(system: System, noise: Noise, plan: NoisyPlan, turn: int) -> Beside:
    """Measure alone, beside, and alone again. Raises: BenchFailed."""
    rows = plan.bulk_rows if noise.kind == "large" else plan.table_rows
    quiet_url, noisy_url = [
        system.create(f"{one}-{noise.letter}{turn}") for one in ("quiet", "noisy")
    ]
    asyncio.run(quiet.prepare(quiet_url))
    asyncio.run(loads.prepare(noisy_url, plan.table_rows))
    settle(system)
    load = [noise.kind, "--url", noisy_url, "--clients", str(noise.clients), "--rows", str(rows)]
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(
            running("quiet", "--url", quiet_url, "--rate", str(RATE_PER_S))
        )
        return _measure(system, noise.letter, client, [load], plan, stack)


def measure_many(system: System, plan: NoisyPlan, turn: int) -> Beside:
    """Measure many quiet tenants beside two noisy ones."""
    urls = [system.create(f"many-{turn}-{number}") for number in range(plan.quiet_tenants)]
    for url in urls:
        asyncio.run(quiet.prepare(url))
    noisy = []
    for number in range(2):
        url = system.create(f"many-noisy-{turn}-{number}")
        asyncio.run(loads.prepare(url, plan.table_rows))
        noisy.append(["reads", "--url", url, "--clients", "32", "--rows", str(plan.table_rows)])
    settle(system)
    arguments = [word for url in urls for word in ("--url", url)]
    rate = str(RATE_PER_S / plan.quiet_tenants)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(running("quiet", *arguments, "--rate", rate))
        return _measure(system, "many", client, noisy, plan, stack)


def _measure(
    system: System,
    scenario: str,
    client: Client,
    noises: Sequence[Sequence[str]],
    plan: NoisyPlan,
    stack: contextlib.ExitStack,
) -> Beside:
    time.sleep(_WARM_S)
    alone = [_span(plan.alone_s)]
    stalls_before = system.metric(_STALLS)
    with contextlib.ExitStack() as noisy:
        generators = [noisy.enter_context(running("loads", *words)) for words in noises]
        beside = _span(plan.beside_s)
    stalls = system.metric(_STALLS)
    settle(system)
    alone.append(_span(plan.alone_s))
    stack.close()
    taken: dict[str, quiet.Taken] = client.result["taken"]
    if client.result["errors"]:
        raise BenchFailed(f"the quiet client: {client.result['errors'][0][1]}")
    done = [pair for generator in generators for pair in generator.result["done"]]
    errors: dict[str, int] = {}
    for generator in generators:
        for text, count in generator.result["errors"].items():
            errors[text] = errors.get(text, 0) + count
    return Beside(
        scenario=scenario,
        system=system.name,
        latencies={kind: _latency(taken[kind], alone, beside) for kind in quiet.KINDS},
        noise_per_s=rate_within(done, beside),
        noise_errors=errors,
        peak_bytes=system.peak_bytes(),
        stalls=None if stalls is None or stalls_before is None else stalls - stalls_before,
        longest_stall_s=system.metric(_LONGEST),
        timeline={
            kind: [((at - beside[0]) / 1e9, took / 1e6) for at, took in taken[kind]]
            for kind in quiet.KINDS
        },
    )


Span = tuple[int, int]  # of CLOCK_MONOTONIC, nanoseconds


def _span(seconds: float) -> Span:
    start_ns = monotonic_ns()
    time.sleep(seconds)
    return start_ns, monotonic_ns()


def _within(taken: quiet.Taken, span: Span) -> list[int]:
    return [took for at, took in taken if span[0] <= at < span[1]]


def _latency(taken: quiet.Taken, alone: Sequence[Span], beside: Span) -> Latency:
    alone_ns = [took for span in alone for took in _within(taken, span)]
    beside_ns = _within(taken, beside)
    alone_p50_ms, alone_p99_ms, _ = summarize(alone_ns)
    p50_ms, p99_ms, _ = summarize(beside_ns)
    return Latency(
        alone_p50_ms=alone_p50_ms,
        alone_p99_ms=alone_p99_ms,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        count=len(beside_ns),
    )


def rate_within(done: Sequence[tuple[int, int]], span: Span) -> float:
    """Return how often per second something was done within a span, to a tenth of a second."""
    first, last = span[0] // loads.BUCKET_NS + 1, span[1] // loads.BUCKET_NS
    count = sum(count for bucket, count in done if first <= bucket < last)
    return count / max(last - first, 1) * 1e9 / loads.BUCKET_NS


def settle(system: System) -> None:
    """Wait until what a large transaction left has been moved."""
    deadline_s = time.monotonic() + _SETTLE_S_MAX
    while system.metric(_UNMOVED) and time.monotonic() < deadline_s:
        time.sleep(0.2)


def median_latency(rounds: Sequence[Beside], kind: str) -> dict[str, float]:
    """Return the median of each figure over the rounds."""
    latencies = [one.latencies[kind] for one in rounds]
    names = ("alone_p50_ms", "alone_p99_ms", "p50_ms", "p99_ms", "p50_ratio", "p99_ratio")
    return {name: median(getattr(one, name) for one in latencies) for name in names}
