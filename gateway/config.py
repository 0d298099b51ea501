"""The gateway's settings: frozen, checked when built."""

from dataclasses import dataclass, field, replace
from typing import Final

from runtime.config_error import ConfigError

AUTO: Final = "auto"  # cpu_priority: realtime, or off without admission control
REALTIME: Final = "realtime"
NICE: Final = "nice"
OFF: Final = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """Section [pool]: how many SQL processes there are and how sessions are spread over them."""

    warm_min: int = 4
    warm_max: int = 32
    warm_horizon_s: float = 0.25  # the pool holds the arrivals of this long
    rate_memory_s: float = 5.0
    refill_delay_s: float = 0.03  # a fork right at an arrival would compete with it for the CPU
    fork_batch_max: int = 8
    process_count_max: int = 1_000
    processes_per_tenant_max: int = 4
    sessions_per_process: int = 64  # beyond it a tenant gets another process
    sessions_per_tenant_max: int = 500  # beyond it 53300
    idle_s: float = 10.0  # a process without sessions for so long is retired
    wait_s_max: float = 10.0  # a session waits so long for a process; then 57P03

    def __post_init__(self) -> None:
        if not 1 <= self.warm_min <= self.warm_max <= self.process_count_max:
            raise ConfigError("need 1 <= warm_min <= warm_max <= process_count_max")
        for name in ("fork_batch_max", "processes_per_tenant_max", "sessions_per_process"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if min(self.warm_horizon_s, self.rate_memory_s, self.wait_s_max) <= 0 or self.idle_s < 0:
            raise ConfigError("durations must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayConfig:
    """Section [gateway]: clients before they are handed over."""

    startup_s_max: float = 10.0  # from connect to authenticated; then 08P01 or a closed socket
    unauthenticated_max: int = 500  # connections before hand-over, all together
    startup_bytes_max: int = 10_000  # PostgreSQL's own limit of a start-up packet
    failures_per_source_max: int = 50  # wrong passwords for one user from one address …
    failure_memory_s: float = 10.0  # … of which half are forgotten in this time
    login_cache_s: float = 2.0
    login_cache_max: int = 10_000
    kv_wait_s_max: float = 8.0  # how long a login waits for a KV node that restarts; then 57P03
    drain_s: float = 5.0
    default_tenant: str = ""  # who names no tenant gets this one; empty: an error
    cpu_priority: str = AUTO  # of SQL processes by their tenant's use: realtime, nice or off

    def __post_init__(self) -> None:
        if min(self.startup_s_max, self.failure_memory_s, self.kv_wait_s_max) <= 0:
            raise ConfigError("durations must be positive")
        if min(self.unauthenticated_max, self.failures_per_source_max, self.login_cache_max) < 1:
            raise ConfigError("limits must be >= 1")
        if self.cpu_priority not in (AUTO, REALTIME, NICE, OFF):
            raise ConfigError(f"cpu_priority is one of {AUTO}, {REALTIME}, {NICE}, {OFF}")

    def resolved(self, *, has_admission: bool) -> "GatewayConfig":
        """Return it with a `cpu_priority` other than "auto"."""
        if self.cpu_priority != AUTO:
            return self
        return replace(self, cpu_priority=REALTIME if has_admission else OFF)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingConfig:
    """Section [logging]."""

    level: str = "INFO"
    is_redacted: bool = True  # statement text stays out of the log

    def __post_init__(self) -> None:
        if self.level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ConfigError(f"level must be DEBUG, INFO, WARNING or ERROR, got {self.level!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything the gateway reads."""

    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)


FOREIGN_SECTIONS = ("kvnode", "sqlnode", "supervisor")
