"""What `insula start` is told: where the data is, where to listen, how to stop."""

from dataclasses import dataclass, field

from runtime.address import parse_host_port
from runtime.config_error import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorConfig:
    """Section [supervisor]: listening addresses and shutdown times. Port 0 means: pick one."""

    pg: str = "127.0.0.1:6432"
    http: str = "127.0.0.1:8080"
    kv: str = "127.0.0.1:6433"
    admin: str = "127.0.0.1:0"  # commands find it in the data directory
    drain_s: float = 5.0  # sessions may finish their statement; then they are ended with 57P01
    stop_s_max: float = 10.0  # a process that has not ended by then is killed
    cgroup: str = "auto"  # CPU weights of tenants by cgroup v2, where it is delegated; or "off"

    def __post_init__(self) -> None:
        for name in ("pg", "http", "kv", "admin"):
            parse_host_port(getattr(self, name))
        if self.cgroup not in ("auto", "off"):
            raise ConfigError(f"cgroup must be auto or off, got {self.cgroup!r}")
        if self.drain_s < 0 or self.stop_s_max <= 0:
            raise ConfigError("drain_s must be >= 0 and stop_s_max > 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class StackConfig:
    """The part of the configuration file that the supervisor reads."""

    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)


FOREIGN_SECTIONS = ("kvnode", "gateway", "pool", "sqlnode", "logging")
