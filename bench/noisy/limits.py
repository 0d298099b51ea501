"""A tenant at its limit of request units, on stacks of its own: the promises about token buckets.

**Model.** Clients read single rows as fast as they are let, so what they get is what the bucket
gives; counts of reads times the average cost of one, as `pg_stat_statements` tells it, are request
units. SQL processes take so few sessions here that a tenant with a dozen has two of them.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, pstdev
from time import monotonic_ns
from typing import Any, Final

import psycopg

from admission.token_client import TokenClientConfig
from bench.noisy import loads
from bench.noisy.plan import NoisyPlan
from bench.noisy.processes import running
from bench.programs import BenchFailed
from bench.servers import Stack, insula_stack
from cli.admin_client import AdminClient

PERIOD_S: Final = TokenClientConfig().period_s
RATE: Final = 300.0  # RU/s, of the run at the limit
_CLIENTS: Final = 8
_SETTLE_S: Final = 5.0  # first tokens are used up, demand is known
_MANY: Final = 9  # connections to one SQL process,
_FEW: Final = 3  # and to another of the same tenant
_SHARED_RATE: Final = 400.0
_SHARED_WARM_S: Final = 8.0
_SHARED_S: Final = 20.0
_RAISED: Final = (50.0, 500.0)
_RAISED_WARM_S: Final = 4.0
_RAISED_S: Final = 5.0
_RAISED_PART: Final = 0.8  # of the new rate, over half a second: it acts
_CRASH_RATE: Final = 200.0
_CRASH_BURST: Final = 400.0
_CRASH_S: Final = (3.0, 4.0)  # before and after the kill
_ROWS: Final = 1_000
_BUCKET_S: Final = loads.BUCKET_NS / 1e9
_RESTART_S_MAX: Final = 30.0
_USED: Final = "select sum(ru) from pg_stat_statements where query like 'select v from big %'"
_COST: Final = (
    "select sum(ru) / sum(calls) from pg_stat_statements where query like 'select v from big %'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTheLimit:
    """What a tenant got at its limit, in request units of each second."""

    rate_ru_per_s: float
    served: list[float]
    curve: list[tuple[float, float]]  # (second, RU/s over a tenth of a second)

    @property
    def mean_part(self) -> float:
        """The mean over the limit."""
        return mean(self.served) / self.rate_ru_per_s

    @property
    def deviation_part(self) -> float:
        """The standard deviation over the limit."""
        return pstdev(self.served) / self.rate_ru_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """All that was measured of limits."""

    evenly: AtTheLimit
    at_once: AtTheLimit  # without the trickle
    shared_per_s: tuple[float, float]  # RU of two SQL processes, wanted 3:1
    raised_s: float  # until a raised limit acted
    used_ru: float  # beside a kill -9 of the KV node,
    billed_ru: float  # and what is on the bill
    crash_rate_ru_per_s: float = _CRASH_RATE

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, without the curves."""
        fields = asdict(self)
        for name in ("evenly", "at_once"):
            del fields[name]["curve"]
        return fields


def measure_limits(plan: NoisyPlan) -> Limited:
    """Measure everything once. Raises: BenchFailed."""
    few_sessions = {"INSULA_POOL__SESSIONS_PER_PROCESS": str(_MANY + 1)}
    with _stack(few_sessions) as stack:
        evenly = _at_the_limit(stack, plan.limit_s)
        shared_per_s = _shared(stack)
        raised_s = _raised(stack)
        used_ru, billed_ru = _crash(stack)
    with _stack({"INSULA_KVNODE__TRICKLE": "false"}) as stack:
        at_once = _at_the_limit(stack, plan.stop_go_s)
    return Limited(
        evenly=evenly,
        at_once=at_once,
        shared_per_s=shared_per_s,
        raised_s=raised_s,
        used_ru=used_ru,
        billed_ru=billed_ru,
    )


def limits_s(plan: NoisyPlan) -> float:
    """Return how long that takes, roughly."""
    spans = (plan.limit_s, plan.stop_go_s, 2 * _SETTLE_S, _SHARED_WARM_S, _SHARED_S)
    others = (_RAISED_WARM_S, _RAISED_S, *_CRASH_S, PERIOD_S)
    return sum(spans) + sum(others) + 25.0  # stacks, tables, clients


def _stack(settings: Mapping[str, str]) -> contextlib.AbstractContextManager[Stack]:
    return insula_stack(idle_s=60.0, settings=settings)


def _tenant(stack: Stack, name: str, *, rate: float, burst: float = 0.0) -> str:
    """Create a limited tenant with a table; return its URL."""
    url = stack.create_tenant(name)
    asyncio.run(loads.prepare(url, _ROWS))
    _limits(stack, name, rate_ru_per_s=rate, burst_ru_max=burst)
    return url


def _limits(stack: Stack, name: str, **changes: float) -> dict[str, Any]:
    """Change limits, or just look; return the record."""
    admin = AdminClient(stack.running)
    try:
        return admin.set_limits(name, **changes) if changes else admin.get_limits(name)
    finally:
        admin.close()


def _reading(url: str, clients: int) -> contextlib.AbstractContextManager[Any]:
    words = ["reads", "--url", url, "--clients", str(clients), "--rows", str(_ROWS)]
    return running("loads", *words)


def _cost_ru(url: str) -> float:
    """Return what a read costs on average."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_COST.encode()).fetchone()
    if row is None or row[0] is None:
        raise BenchFailed("no read was counted")
    return float(row[0])


def _at_the_limit(stack: Stack, seconds: float) -> AtTheLimit:
    url = _tenant(stack, "rated", rate=RATE)
    with _reading(url, _CLIENTS) as client:
        time.sleep(_SETTLE_S)
        start_ns = monotonic_ns()
        time.sleep(seconds)
        end_ns = monotonic_ns()
    cost_ru = _cost_ru(url)
    tenths = [count * cost_ru for count in per_tenth(client.result["done"], start_ns, end_ns)]
    return AtTheLimit(
        rate_ru_per_s=RATE,
        served=[sum(tenths[at : at + 10]) for at in range(0, len(tenths) - 9, 10)],
        curve=[(at * _BUCKET_S, ru / _BUCKET_S) for at, ru in enumerate(tenths)],
    )


def per_tenth(done: Sequence[tuple[int, int]], start_ns: int, end_ns: int) -> list[int]:
    """Return how often something was done in each whole tenth of a second of a span.

    >>> per_tenth([(2, 7), (4, 9)], 150_000_000, 520_000_000)
    [7, 0, 9]
    """
    counts = dict(done)
    first, last = -(-start_ns // loads.BUCKET_NS), end_ns // loads.BUCKET_NS
    return [counts.get(bucket, 0) for bucket in range(first, last)]


def _shared(stack: Stack) -> tuple[float, float]:
    """Return what two SQL processes of a tenant get. Raises: BenchFailed."""
    url = _tenant(stack, "shared", rate=_SHARED_RATE)
    _wait_alone(stack, "shared")
    with contextlib.ExitStack() as opened:
        # A session goes to the process with the fewest, and to a new one when all are full.
        first = opened.enter_context(psycopg.connect(url, autocommit=True))
        opened.enter_context(_reading(url, _MANY))
        opened.enter_context(_reading(url, _FEW))
        looks = first, opened.enter_context(psycopg.connect(url, autocommit=True))
        sessions = sorted(_sessions(stack, "shared"))
        if sessions != [_FEW + 1, _MANY + 1]:
            raise BenchFailed(f"SQL processes with {sessions} sessions")
        time.sleep(_SHARED_WARM_S)
        before = [_used_ru(look) for look in looks]
        start_s = time.monotonic()
        time.sleep(_SHARED_S)
        many, few = [
            (_used_ru(look) - was) / (time.monotonic() - start_s)
            for look, was in zip(looks, before, strict=True)
        ]
    return many, few


def _used_ru(connection: "psycopg.Connection[Any]") -> float:
    """Return what all reads of a connection's SQL process have cost."""
    row = connection.execute(_USED.encode()).fetchone()
    return float(row[0]) if row is not None and row[0] is not None else 0.0


def _sessions(stack: Stack, tenant: str) -> list[int]:
    """Return the sessions of each SQL process of a tenant."""
    known = json.loads(stack.http("/debug/processes"))
    return [one["sessions"] for one in known if one.get("tenant") == tenant]


def _wait_alone(stack: Stack, tenant: str) -> None:
    """Wait until no session is left of those that made the table."""
    deadline_s = time.monotonic() + PERIOD_S
    while any(_sessions(stack, tenant)) and time.monotonic() < deadline_s:
        time.sleep(0.05)


def _raised(stack: Stack) -> float:
    """Return how long it took until a raised limit acted; infinite if it never did."""
    before, after = _RAISED
    url = _tenant(stack, "raised", rate=before)
    with _reading(url, _CLIENTS) as client:
        time.sleep(_RAISED_WARM_S)
        start_ns = monotonic_ns()
        _limits(stack, "raised", rate_ru_per_s=after, burst_ru_max=0)
        time.sleep(_RAISED_S)
        end_ns = monotonic_ns()
    wanted = _RAISED_PART * after / _cost_ru(url)
    return reached_s(per_tenth(client.result["done"], start_ns, end_ns), wanted)


def reached_s(tenths: Sequence[int], per_s: float) -> float:
    """Return after how many seconds something has been done so often for half a second.

    >>> reached_s([1, 1, 10, 10, 10, 10, 10], 100)
    0.7
    >>> reached_s([1, 1, 1, 1, 1, 1], 100)
    inf
    """
    for at in range(len(tenths) - 4):
        if sum(tenths[at : at + 5]) >= per_s / 2:
            return round((at + 5) * _BUCKET_S, 1)
    return float("inf")


def _crash(stack: Stack) -> tuple[float, float]:
    """Kill the KV node beside reads; return what was used and what was billed."""
    url = _tenant(stack, "crash", rate=_CRASH_RATE, burst=_CRASH_BURST)
    with _reading(url, _FEW) as client:
        before_s, after_s = _CRASH_S
        time.sleep(before_s)
        os.kill(stack.kvnode_pid(), signal.SIGKILL)
        time.sleep(after_s)
    time.sleep(PERIOD_S + 0.5)  # then the rest is reported
    _wait_back(stack)
    billed_ru = _limits(stack, "crash")["consumed_ru"]
    return client.result["acknowledged"] * _cost_ru(url), billed_ru


def _wait_back(stack: Stack) -> None:
    """Wait until there is a KV node again. Raises: BenchFailed."""
    for _ in range(int(_RESTART_S_MAX * 10)):
        with contextlib.suppress(BenchFailed):
            stack.kvnode_pid()
            return
        time.sleep(0.1)
    raise BenchFailed("the KV node did not come back")


def tables(found: Limited) -> Iterator[str]:
    """Yield the lines of the report's table."""
    yield "| at the limit | mean of it | standard deviation | seconds | least and most in one |"
    yield "|---|---|---|---|---|"
    for name, one in (("with trickle", found.evenly), ("without", found.at_once)):
        yield (
            f"| {one.rate_ru_per_s:.0f} RU/s, {name} | {one.mean_part:.1%} |"
            f" {one.deviation_part:.1%} | {len(one.served)} |"
            f" {min(one.served):.0f}, {max(one.served):.0f} RU |"
        )
