"""Every metric of the gateway. Labels are closed sets, so cardinality is bounded."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class GatewayMetrics:
    """Clients, hand-overs and the pool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Counter(
            "insula_gateway_connections_total", "Connections accepted.", registry=registry
        )
        self.unauthenticated = Gauge(
            "insula_gateway_unauthenticated", "Connections before hand-over.", registry=registry
        )
        self.refused = Counter(
            "insula_gateway_refused_total",
            "Connections refused before hand-over, by SQLSTATE.",
            ["sqlstate"],
            registry=registry,
        )
        self.routed = Counter(
            "insula_gateway_routed_total",
            "Sessions by what named the tenant.",
            ["method"],
            registry=registry,
        )
        self.hand_over_seconds = Histogram(
            "insula_gateway_hand_over_seconds",
            "From accept to hand-over, by where the process came from.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.assign_seconds = Histogram(
            "insula_gateway_assign_seconds",
            "From the first session's hand-over to the tenant's catalog loaded.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.cancels = Counter(
            "insula_gateway_cancel_requests_total",
            "Cancel requests.",
            ["result"],
            registry=registry,
        )
        self._make_pool(registry)

    def _make_pool(self, registry: CollectorRegistry) -> None:
        self.forks = Counter("insula_pool_forks_total", "Processes forked.", registry=registry)
        self.fork_seconds = Histogram(
            "insula_pool_fork_seconds", "One fork.", buckets=_SECONDS, registry=registry
        )
        self.ends = Counter(
            "insula_pool_process_ends_total", "Ends of SQL processes.", ["cause"], registry=registry
        )
        self.processes = Gauge(
            "insula_pool_processes", "SQL processes by state.", ["state"], registry=registry
        )
        self.lowered = Gauge(
            "insula_pool_lowered_processes", "SQL processes that stand back.", registry=registry
        )
        self.realtime = Gauge(
            "insula_pool_realtime_processes", "SQL processes that are prompt.", registry=registry
        )
        self.realtime_allowed = Gauge(
            "insula_pool_realtime_allowed", "Whether any may be prompt.", registry=registry
        )
        self.sessions = Gauge("insula_pool_sessions", "Sessions served.", registry=registry)
        self.waiting = Gauge(
            "insula_pool_waiting_sessions", "Sessions waiting for a process.", registry=registry
        )
