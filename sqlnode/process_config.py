"""Settings of SQL processes and their zygote: frozen, checked when built."""

from dataclasses import dataclass, field
from typing import Final

from runtime.config_error import ConfigError

FOREIGN_SECTIONS: Final = ("kvnode", "gateway", "pool", "supervisor")


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlProcessConfig:
    """Section [sqlnode]: what a SQL process may have; how often the zygote is renewed."""

    nice: int = 5  # the KV node and the gateway run at 0
    memory_bytes_max: int = 8 << 30  # private memory of one process (RLIMIT_DATA); 0: no limit
    stage_bytes: int = 2 << 20  # of writes buffered until they are staged on the KV node
    protect_after_s: float = 5.0  # a snapshot still read then is kept from collection; 0: never
    usage_period_s: float = 10.0  # between reports for the bill: what a kill -9 may lose
    open_files_max: int = 4_096
    oom_score: int = 500  # ended before the KV node when the machine runs out of memory
    forks_per_zygote_max: int = 2_000  # then it starts itself afresh: forks share memory layout

    def __post_init__(self) -> None:
        if not 0 <= self.nice <= 19:
            raise ConfigError(f"nice must be 0 to 19, got {self.nice}")
        if not 0 <= self.oom_score <= 1000:
            raise ConfigError(f"oom_score must be 0 to 1000, got {self.oom_score}")
        if self.usage_period_s <= 0:
            raise ConfigError(f"usage_period_s must be > 0, got {self.usage_period_s}")
        if self.protect_after_s < 0:
            raise ConfigError(f"protect_after_s must be >= 0, got {self.protect_after_s}")
        if self.stage_bytes < 1:
            raise ConfigError(f"stage_bytes must be at least 1, got {self.stage_bytes}")
        if self.forks_per_zygote_max < 1 or self.open_files_max < 64 or self.memory_bytes_max < 0:
            raise ConfigError(
                "need forks_per_zygote_max >= 1, open_files_max >= 64, memory_bytes_max >= 0"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingConfig:
    """Section [logging]."""

    level: str = "INFO"
    is_redacted: bool = True  # statement text stays out of the log


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything a SQL process reads."""

    sqlnode: SqlProcessConfig = field(default_factory=SqlProcessConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessOptions:
    """What the zygote hands down to the processes it forks."""

    control_path: str
    kv_address: str
    lifeline_fd: int | None
    config: Config = field(default_factory=Config)
