"""Who gets how much when all want more than there is, and what a lone tenant gets.

Where shares are measured a request costs the server far more than its client: else the clients
would share their own CPU, and nobody would ever wait for the server.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median
from time import monotonic_ns
from typing import Final

from admission.fairness import fairness_index
from bench.noisy import loads
from bench.noisy.beside import rate_within, settle
from bench.noisy.plan import LONE, LONE_SQL, NoisyPlan, Share
from bench.noisy.processes import running
from bench.noisy.systems import Insula, System
from bench.noisy.watch import Span

_WARM_S: Final = 2.0  # shares at the KV node follow the use of the last second or two,
_WARM_SQL_S: Final = 6.0  # those of SQL processes slower
_LONE_RAW: Final = 64
_LONE_CLIENTS: Final = 16
_AWAKE_S: Final = 0.1
_TURN_S: Final = 0.5
_SUMS: Final = "sums"
_READS: Final = "reads"
_SQL_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One scenario on one system in one round."""

    scenario: str
    system: str
    per_s: list[float]  # of each tenant

    def parts(self) -> list[float]:
        """Return what each got over the mean."""
        mean = sum(self.per_s) / len(self.per_s)
        return [rate / mean for rate in self.per_s]


def measure_share(system: System, share: Share, plan: NoisyPlan, turn: int) -> Shared | None:
    """Measure one scenario; None where the system has no such thing."""
    prefix = f"{share.name}-{turn}"
    if not isinstance(system, Insula) and (share.is_raw or len(set(share.weights)) > 1):
        return None
    kind = loads.COUNTS if share.is_raw else _SUMS
    words = [
        _words(system, kind, f"{prefix}-{number}", clients, weight, plan)
        for number, (clients, weight) in enumerate(zip(share.clients, share.weights, strict=True))
    ]
    warm_s = _WARM_S if share.is_raw else _WARM_SQL_S
    return Shared(
        scenario=share.name, system=system.name, per_s=_rates(system, words, warm_s, plan.share_s)
    )


def measure_lone(systems: Sequence[System], plan: NoisyPlan, turn: int) -> Iterator[Shared]:
    """Measure a tenant without neighbours on each system: at the KV node, and through SQL."""
    for name, kind, clients in ((LONE, loads.RAW, _LONE_RAW), (LONE_SQL, _READS, _LONE_CLIENTS)):
        words = [_words(system, kind, f"{name}-{turn}", clients, 1, plan) for system in systems]
        for system, rate in zip(systems, _rates_in_turn(words, plan.lone_turns), strict=True):
            yield Shared(scenario=name, system=system.name, per_s=[rate])


def _rates_in_turn(words: Sequence[Sequence[str]], turns: int) -> list[float]:
    """Return the rates of clients that work one at a time, half a second each, over and over.

    The machine is faster or slower for seconds and minutes: by far more than what is compared.
    Of two alike the ratio in one pair of turns scatters by 10 to 20 %, hence many and short ones.
    """
    spans: list[list[Span]] = [[] for _ in words]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running("loads", *each)) for each in words]
        for client in clients:
            client.pause()
        for turn in range(turns + 1):  # the first is to get warm
            pairs = list(zip(clients, spans, strict=True))
            for client, found in pairs[::-1] if turn % 2 else pairs:
                client.go_on()
                time.sleep(_AWAKE_S)
                start_ns = monotonic_ns()
                time.sleep(_TURN_S)
                if turn:
                    found.append((start_ns, monotonic_ns()))
                client.pause()
        for client in clients:
            client.go_on()
    return [
        mean(rate_within(client.result["done"], span) for span in found)
        for client, found in zip(clients, spans, strict=True)
    ]


def _words(
    system: System, kind: str, tenant: str, clients: int, weight: float, plan: NoisyPlan
) -> list[str]:
    """Create a tenant; return the arguments of its load."""
    if kind in loads.AT_THE_NODE and isinstance(system, Insula):
        credential = system.create_raw(tenant, weight)
        words = [kind, "--unix", system.kv_socket, "--credential", credential]
    else:
        url = system.create(tenant, weight)
        asyncio.run(loads.prepare(url, _SQL_ROWS))
        words = [kind, "--url", url, "--rows", str(_SQL_ROWS)]
    return [*words, "--clients", str(clients)]


def _rates(
    system: System, words: Sequence[Sequence[str]], warm_s: float, seconds: float
) -> list[float]:
    settle(system)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running("loads", *each)) for each in words]
        time.sleep(warm_s)
        start_ns = monotonic_ns()
        time.sleep(seconds)
        span = (start_ns, monotonic_ns())
    return [rate_within(client.result["done"], span) for client in clients]


def median_parts(rounds: Sequence[Shared]) -> list[float]:
    """Return the median over the rounds of what each tenant got over the mean."""
    return [median(parts) for parts in zip(*(one.parts() for one in rounds), strict=True)]


def median_index(rounds: Sequence[Shared], wanted: Sequence[float]) -> float:
    """Return the median of Jain's index of what each got over what it should get."""
    return median(fairness_index(one.per_s, weights=wanted) for one in rounds)
