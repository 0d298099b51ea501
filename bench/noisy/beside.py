"""What a quiet tenant pays for its neighbour: latencies alone, and beside a noisy tenant.

**Model.** A *chain* of scenarios has one quiet client, which works from the beginning to the end.
Each noise comes between two spans in which the client is alone; the span after one noise is that
before the next:

    alone │ noise a │ alone │ noise b │ alone │ …

Between a noise and the span after it the noisy clients get their last answers, and the server ends
the work that they have left.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.noisy import loads, quiet
from bench.noisy.kept import Kept, noise_kept, quiet_kept
from bench.noisy.latency import Latency, client_latency, server_latency
from bench.noisy.node import NodeSpan
from bench.noisy.plan import MANY, Noise, NoisyPlan
from bench.noisy.processes import running
from bench.noisy.systems import System
from bench.noisy.watch import Look, Span, Watch, watching
from bench.programs import BenchFailed

RATE_PER_S: Final = 50.0
_WARM_S: Final = 1.0
_CALM_S: Final = 1.0  # after a noise
_SETTLE_S_MAX: Final = 60.0
_UNMOVED: Final = "insula_kvnode_intents_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Whether clients had answers all the time."""

    idle_s: float  # of that noisy client which had none for longest, at the end of the noise
    stuck: int  # noisy clients whose last request was never answered
    quiet_idle_s: float  # the quiet client, likewise
    unanswered: int  # of the quiet client's requests, in the whole chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One scenario on one system in one round."""

    scenario: str
    system: str
    latencies: dict[str, Latency]  # read, commit
    server: dict[str, Latency]  # likewise, as the server tells; empty if it does not
    noise_per_s: float
    noise_errors: dict[str, int]  # by SQLSTATE and message
    node: NodeSpan | None
    kept: list[Kept]
    progress: Progress
    timeline: dict[str, list[tuple[float, float]]]  # (seconds since the noise began, milliseconds)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, without the timeline."""
        fields = asdict(self)
        del fields["timeline"]
        for name in ("latencies", "server"):
            fields[name] = {kind: one.as_dict() for kind, one in getattr(self, name).items()}
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The noise of one scenario; each client process is a line of arguments."""

    scenario: str
    kind: str
    urls: Sequence[str]
    clients: int
    rows: int

    def words(self) -> Iterator[list[str]]:
        """Yield the arguments of each client process."""
        for url in self.urls:
            clients, rows = str(self.clients), str(self.rows)
            yield [self.kind, "--url", url, "--clients", clients, "--rows", rows]


@dataclass(frozen=True, slots=True)
class _Part:
    neighbour: Neighbour
    before: Look
    beside: Look
    after: Look
    results: Sequence[dict[str, Any]]


@dataclass(slots=True)
class Chain:
    """What came of a chain of scenarios."""

    measured: list[Beside] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # by scenario


def measure_beside(system: System, noises: Sequence[Noise], plan: NoisyPlan, turn: int) -> Chain:
    """Measure a quiet tenant beside one kind of noise after the other. Raises: BenchFailed."""
    quiet_url, noisy_url = [
        system.create(f"{one}-{noises[0].letter}{turn}") for one in ("quiet", "noisy")
    ]
    asyncio.run(quiet.prepare(quiet_url))
    asyncio.run(loads.prepare(noisy_url, plan.table_rows))
    neighbours = [
        Neighbour(
            scenario=noise.letter,
            kind=noise.kind,
            urls=[noisy_url],
            clients=noise.clients,
            rows=plan.bulk_rows if noise.kind == "large" else plan.table_rows,
        )
        for noise in noises
    ]
    return _measure(system, [quiet_url], neighbours, plan)


def measure_many(system: System, plan: NoisyPlan, turn: int) -> Chain:
    """Measure many quiet tenants beside two noisy ones."""
    urls = [system.create(f"many-{turn}-{number}") for number in range(plan.quiet_tenants)]
    for url in urls:
        asyncio.run(quiet.prepare(url))
    noisy = [system.create(f"many-noisy-{turn}-{number}") for number in range(2)]
    for url in noisy:
        asyncio.run(loads.prepare(url, plan.table_rows))
    neighbour = Neighbour(scenario=MANY, kind="reads", urls=noisy, clients=32, rows=plan.table_rows)
    return _measure(system, urls, [neighbour], plan)


def _measure(
    system: System, quiet_urls: Sequence[str], neighbours: Sequence[Neighbour], plan: NoisyPlan
) -> Chain:
    chain, parts = Chain(), []
    settle(system)
    words = [word for url in quiet_urls for word in ("--url", url)]
    rate = str(RATE_PER_S / len(quiet_urls))
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(running("quiet", *words, "--rate", rate))
        watch = stack.enter_context(watching(system, quiet_urls))
        time.sleep(_WARM_S)
        before = watch.measure(plan.alone_s)
        for neighbour in neighbours:
            try:
                beside, results = _noise(watch, neighbour, plan)
            except BenchFailed as error:
                chain.failures[neighbour.scenario] = str(error)
                results = []
            settle(system)
            time.sleep(_CALM_S)
            after = watch.measure(plan.alone_s)
            if results:
                parts.append(_Part(neighbour, before, beside, after, results))
            before = after
    kept = quiet_kept(quiet_urls, client.result)
    for part in parts:
        try:
            chain.measured.append(_beside(system.name, part, client.result, kept))
        except BenchFailed as error:
            chain.failures[part.neighbour.scenario] = str(error)
    system.rest()
    return chain


def _noise(
    watch: Watch, neighbour: Neighbour, plan: NoisyPlan
) -> tuple[Look, list[dict[str, Any]]]:
    """Look beside the noise; return what its clients say as well. Raises: BenchFailed."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running("loads", *words)) for words in neighbour.words()]
        beside = watch.measure(plan.beside_s)
    return beside, [client.result for client in clients]


def _beside(system: str, part: _Part, result: dict[str, Any], kept: Kept) -> Beside:
    """Put together what was seen of one scenario. Raises: BenchFailed."""
    taken: dict[str, quiet.Taken] = result["taken"]
    spans = [look.span for look in (part.before, part.beside, part.after)]
    _check_quiet(result["errors"], spans)
    latencies = {
        kind: client_latency(*(_within(taken[kind], span) for span in spans))
        for kind in quiet.KINDS
    }
    server = {
        kind: server_latency(
            *(look.server[kind] for look in (part.before, part.beside, part.after))
        )
        for kind in part.beside.server
    }
    errors: dict[str, int] = {}
    for one in part.results:
        for text, count in one["errors"].items():
            errors[text] = errors.get(text, 0) + count
    begin_ns = part.beside.span[0]
    return Beside(
        scenario=part.neighbour.scenario,
        system=system,
        latencies=latencies,
        server={kind: one for kind, one in server.items() if one is not None},
        noise_per_s=sum(noise_rate(one, part.beside.span) for one in part.results),
        noise_errors=errors,
        node=part.beside.node,
        kept=[kept, *_noise_kept(part)],
        progress=_progress(part, result),
        timeline={
            kind: [
                ((at - begin_ns) / 1e9, took / 1e6) for at, took in taken[kind] if _is_of(part, at)
            ]
            for kind in quiet.KINDS
        },
    )


def _is_of(part: _Part, at_ns: int) -> bool:
    return part.before.span[0] <= at_ns < part.after.span[1]


def _noise_kept(part: _Part) -> Iterator[Kept]:
    neighbour = part.neighbour
    for url, result in zip(neighbour.urls, part.results, strict=True):
        kept = noise_kept(neighbour.kind, url, result, bulk_rows=neighbour.rows)
        if kept is not None:
            yield kept


def _progress(part: _Part, result: Mapping[str, Any]) -> Progress:
    end_ns = part.beside.span[1]
    heard_ns = [
        max((at + took for at, took in result["taken"][kind] if at + took <= end_ns), default=0)
        for kind in quiet.KINDS
    ]
    return Progress(
        idle_s=max(one["idle_s"] for one in part.results),
        stuck=sum(one["stuck"] for one in part.results),
        quiet_idle_s=(end_ns - min(heard_ns)) / 1e9,
        unanswered=result["unanswered"],
    )


def _check_quiet(errors: Sequence[tuple[int, str]], spans: Sequence[Span]) -> None:
    """Make sure that the quiet client met no error. Raises: BenchFailed."""
    for at_ns, text in errors:
        if spans[0][0] <= at_ns < spans[-1][1]:
            raise BenchFailed(f"the quiet client met {text}")


def _within(taken: quiet.Taken, span: Span) -> list[int]:
    """Return what the requests of a span took. Raises: BenchFailed."""
    found = [took for at, took in taken if span[0] <= at < span[1]]
    if not found:
        raise BenchFailed("the quiet client had no answer")
    return found


def noise_rate(result: Mapping[str, Any], span: Span) -> float:
    """Return what a load did per second within a span; where no request ended in it, of all."""
    rate = rate_within(result["done"], span)
    if not rate and result["took_s"] > 0:
        rate = result["acknowledged"] / result["took_s"]
    return rate


def rate_within(done: Sequence[tuple[int, int]], span: Span) -> float:
    """Return how often per second something was done within a span, to a tenth of a second."""
    first, last = span[0] // loads.BUCKET_NS + 1, span[1] // loads.BUCKET_NS
    count = sum(count for bucket, count in done if first <= bucket < last)
    return count / max(last - first, 1) * 1e9 / loads.BUCKET_NS


def settle(system: System) -> None:
    """Wait until what a large transaction left has been moved, and the disk has everything."""
    deadline_s = time.monotonic() + _SETTLE_S_MAX
    while system.metric(_UNMOVED) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    os.sync()
