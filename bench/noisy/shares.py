"""Who gets how much when all want more than there is, and what a lone tenant gets.

Where shares are measured a request costs the server far more than its client: else the clients
would share their own CPU, and nobody would ever wait for the server.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic_ns
from typing import Final

from admission.fairness import fairness_index
from bench.noisy import loads
from bench.noisy.beside import rate_within, settle
from bench.noisy.plan import LONE, LONE_SQL, NoisyPlan, Share
from bench.noisy.processes import running
from bench.noisy.systems import Insula, System

_WARM_S: Final = 2.0  # shares follow the use of the last seconds
_LONE_RAW: Final = 64
_LONE_CLIENTS: Final = 16
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
    return Shared(
        scenario=share.name, system=system.name, per_s=_rates(system, words, plan.share_s)
    )


def measure_lone(system: System, plan: NoisyPlan, turn: int) -> list[Shared]:
    """Measure a tenant without neighbours: at the KV node, and through SQL."""
    measured = []
    for name, kind, clients in ((LONE, loads.RAW, _LONE_RAW), (LONE_SQL, _READS, _LONE_CLIENTS)):
        if isinstance(system, Insula):
            words = _words(system, kind, f"{name}-{turn}", clients, 1, plan)
            per_s = _rates(system, [words], plan.share_s)
            measured.append(Shared(scenario=name, system=system.name, per_s=per_s))
    return measured


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


def _rates(system: System, words: Sequence[Sequence[str]], seconds: float) -> list[float]:
    settle(system)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running("loads", *each)) for each in words]
        time.sleep(_WARM_S)
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
