"""What each tenant has waited and reported lately: for operators who look (`insula top`).

**Model.** Waits for a turn are counted in buckets for ever; who looks twice has what was between.
What SQL processes report of their statements (ReportUsage) counts for one window.

**Invariants.** At most TENANTS_MAX tenants: with more, all are forgotten, and who is active comes
back.

**Concurrency.** Owner: the event loop.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from kvapi.latency import BUCKETS, bucket_of

TENANTS_MAX: Final = 10_000
WINDOW_S: Final = 20.0  # two periods of reports
_REPORTS_MAX: Final = 1_000


class Reported(NamedTuple):
    """Statements of the last window: per second, and how long they took in buckets."""

    statements_per_s: float
    ru_per_s: float
    latencies: list[int]
    sql_cpu_per_s: float


class _Report(NamedTuple):
    at_s: float
    calls: int
    micro_ru: int
    latencies: Sequence[int]
    sql_cpu_s: float


class TenantLoad:
    """One tenant."""

    __slots__ = ("reports", "waited_s", "waits")

    def __init__(self) -> None:
        self.waits = [0] * BUCKETS
        self.waited_s = 0.0
        self.reports: deque[_Report] = deque(maxlen=_REPORTS_MAX)


class TenantLoads:
    """All tenants that were active."""

    def __init__(self) -> None:
        self._loads: dict[int, TenantLoad] = {}

    def waited(self, tenant_id: int, wait_s: float, count: int = 1) -> None:
        """Count requests that waited for their turn."""
        load = self._load(tenant_id)
        load.waits[bucket_of(wait_s)] += count
        load.waited_s += wait_s * count

    def reported(
        self,
        tenant_id: int,
        *,
        calls: int,
        micro_ru: int,
        latencies: Sequence[int],
        now_s: float,
        sql_cpu_s: float = 0.0,
    ) -> None:
        """Take note of what a SQL process has reported."""
        reports = self._load(tenant_id).reports
        reports.append(_Report(now_s, calls, micro_ru, latencies, sql_cpu_s))
        _forget(reports, now_s)

    def waits(self, tenant_id: int) -> Sequence[int]:
        """Return the waits so far, by bucket."""
        load = self._loads.get(tenant_id)
        return load.waits if load is not None else ()

    def waited_s(self, tenant_id: int) -> float:
        """Return how long its requests have waited so far, all together."""
        load = self._loads.get(tenant_id)
        return load.waited_s if load is not None else 0.0

    def lately(self, tenant_id: int, *, now_s: float) -> Reported:
        """Return what was reported in the last window."""
        latencies = [0] * BUCKETS
        load = self._loads.get(tenant_id)
        reports = load.reports if load is not None else deque[_Report]()
        _forget(reports, now_s)
        for report in reports:
            for index, count in enumerate(report.latencies[:BUCKETS]):
                latencies[index] += count
        calls = sum(report.calls for report in reports)
        micro_ru = sum(report.micro_ru for report in reports)
        sql_cpu_s = sum(report.sql_cpu_s for report in reports)
        return Reported(
            calls / WINDOW_S, micro_ru / 1e6 / WINDOW_S, latencies, sql_cpu_s / WINDOW_S
        )

    def _load(self, tenant_id: int) -> TenantLoad:
        load = self._loads.get(tenant_id)
        if load is None:
            if len(self._loads) >= TENANTS_MAX:
                self._loads.clear()
            load = self._loads[tenant_id] = TenantLoad()
        return load


def _forget(reports: deque[_Report], now_s: float) -> None:
    while reports and now_s - reports[0].at_s > WINDOW_S:
        reports.popleft()
