"""Configuration of the KV node: section `kvnode` of the configuration file."""

from dataclasses import dataclass, field, fields
from typing import Final

from runtime.config_error import ConfigError

ATOMIC: Final = "atomic"
STAGED: Final = "staged"
MEMORY_BYTES_MIN: Final = 256 << 20  # less would not do for a frame of each part
_NO_NUMBERS: Final = ("log_level", "range_commit", "admission", "realtime", "trickle")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeConfig:
    """Bounds, waits and sizes. Sizes in bytes, durations in seconds."""

    memory_bytes_max: int = 1 << 30  # of the process; kvnode/memory.py divides it
    admission: bool = True  # false: nothing keeps tenants apart; `insula start` tells the gateway
    realtime: bool | None = None  # before normal processes, where the system lets it; as admission
    trickle: bool = True  # false: limited tenants get a period's tokens at once, and stop and go
    frame_bytes_max: int = 16 << 20
    credit_requests: int = 1024  # outstanding requests granted to each stream
    streams_max: int = 10_000
    block_bytes_max: int = 1 << 20  # of one scan's answer: packing it holds the loop up
    block_rows_max: int = 100_000
    write_rows_max: int = 4096  # of one Stage or Commit; more come in several Stages
    commit_bytes_max: int = 1 << 30  # writes of one stream's commits under way
    staged_bytes_max: int = 64 << 20  # chunks of one stream that are being staged
    intents_bytes_tenant_max: int = 16 << 30  # staged writes of one tenant, on disk
    staged_txns_tenant_max: int = 4096  # open transactions of one tenant that have staged
    heartbeat_lapse_s: float = 10.0  # a large transaction not heard of for so long is rolled back
    request_bytes_max: int = 64 << 20  # keys of one stream's requests that wait for their answers
    reads_max: int = 16  # scans and multi-gets of one stream under way at once; others wait
    locks_max: int = 1_000_000  # of one transaction, and of one stream
    hello_s_max: float = 5.0  # a stream that has not said hello by then is closed
    warm_streams_max: int = 256  # so many may stay without a tenant for long; others: hello_s_max
    warm_s_max: float = 86_400.0  # on the Unix socket, where warm SQL processes wait for a tenant
    poll_s_max: float = 0.00004  # for a Unix stream's next request, before the loop may sleep
    send_buffer_bytes_max: int = 1 << 20  # unread by the client: reading from it stops
    unread_s_max: float = 5.0  # answers of who is over its share: then the stream may be ended
    close_s_max: float = 1.0  # for a client to read what an ended stream has sent
    quantum_s: float = 0.001  # work yields to others after so long
    commit_latency_max_s: float = 0.05  # mean of a batch: the disk is full, and bulk writes wait
    write_waits_tenant_max: int = 10_000  # commits of one tenant that wait for a slow disk; then
    write_wait_bytes_tenant_max: int = 64 << 20  # or that many bytes of them, or one of them
    write_wait_s_max: float = 30.0  # so long: Throttled
    bulk_wait_s_max: float = 600.0  # the same of a chunk of a large transaction, behind commits
    lane_bytes_max: int = 4 << 20  # of one stream's requests that wait; then it is read no further
    lane_requests_tenant_max: int = 10_000  # waiting requests of one tenant; then reads: Throttled
    recent_keys_max: int = 200_000  # of one tenant, for validation in memory
    recent_s: float = 120.0
    footprint_parts_max: int = 16_384  # keys and spans of one Commit or Refresh
    validate_rows_max: int = 2_000  # looked at in one turn, of what memory has forgotten
    txn_record_life_s: float = 600.0
    gc_ttl_s: float = 600.0  # default of a new tenant
    gc_ttl_s_min: float = 10.0  # of any tenant: time for running readers to protect what they read
    gc_ttl_s_max: float = 315_360_000.0
    protect_s_max: float = 86_400.0  # then a reader's snapshot may be collected all the same
    protections_max: int = 10_000  # of one stream
    gc_interval_s: float = 10.0
    range_bytes_max: int = 128 << 20  # a range that holds more splits at its middle
    range_merge_bytes_max: int = 32 << 20  # neighbours that hold less together may merge
    range_load_split_per_s: float = 5_000.0  # a range that serves more requests splits,
    range_load_s: float = 10.0  # if it did so for so long and the load has a middle
    range_quiet_s: float = 300.0  # neighbours merge when small and slow for so long
    range_interval_s: float = 1.0  # how often all that is looked at
    range_commit: str = ATOMIC  # over several ranges: in one write, or "staged" range by range
    ranges_max: int = 10_000  # of one tenant; then none splits any more
    credential_life_s: float = 86_400.0
    drain_s: float = 5.0
    map_bytes: int = 8 << 30
    map_bytes_max: int = 4 << 40
    log_level: str = "INFO"

    @property
    def is_realtime(self) -> bool:
        """Whether the process is to be real-time: said, or else with admission control."""
        return self.admission if self.realtime is None else self.realtime

    def __post_init__(self) -> None:
        if self.range_commit not in (ATOMIC, STAGED):
            raise ConfigError(
                f'range_commit is "{ATOMIC}" or "{STAGED}", not {self.range_commit!r}'
            )
        for name in (f.name for f in fields(self) if f.name not in _NO_NUMBERS):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.block_bytes_max * 2 > self.frame_bytes_max:
            raise ConfigError("block_bytes_max must be at most half of frame_bytes_max")
        if self.memory_bytes_max < MEMORY_BYTES_MIN:
            raise ConfigError(f"memory_bytes_max must be at least {MEMORY_BYTES_MIN}")
        if self.block_bytes_max * 64 > self.memory_bytes_max:
            raise ConfigError("block_bytes_max must be at most a 64th of memory_bytes_max")
        if 2 * self.range_merge_bytes_max > self.range_bytes_max:
            raise ConfigError("range_merge_bytes_max must be at most half of range_bytes_max")
        if self.map_bytes > self.map_bytes_max:
            raise ConfigError("map_bytes must be at most map_bytes_max")


@dataclass(frozen=True, kw_only=True, slots=True)
class KvnodeConfig:
    """What the process reads."""

    kvnode: NodeConfig = field(default_factory=NodeConfig)


FOREIGN_SECTIONS = ("gateway", "pool", "sqlnode", "supervisor", "logging")
