"""Configuration of the KV client."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientConfig:
    """Bounds and waits of one client. Sizes in bytes."""

    client_name: str = ""
    queue_requests_max: int = 10_000  # beyond credit and these: Throttled
    credit_requests_max: int = 4_096  # never more outstanding, whatever the server grants
    frame_bytes_max: int = 16 << 20  # largest frame accepted; the server's own limit rules sending
    connect_timeout_s: float = 5.0  # one attempt: transport and hello
    connect_wait_s: float = 5.0  # a request without a connection waits so long, then Unavailable
    throttled_wait_s: float = 30.0  # reads and chunks are sent again for so long
    resolve_wait_s: float = 10.0  # a commit of unknown outcome, then CommitAmbiguous
    poll_s_max: float = 0.00008  # for an answer on a Unix socket, before the loop may sleep
    commit_rows_max: int = 2_048  # a commit with more writes stages them first
    commit_bytes_max: int = 512 << 10
    chunk_rows_max: int = 256  # of one Stage request: it takes the node's loop half a millisecond
    chunk_bytes_max: int = 256 << 10
    heartbeat_s: float = 2.5  # of transactions that have staged something
    backoff_s_min: float = 0.01
    backoff_s_max: float = 0.5

    def __post_init__(self) -> None:
        for name in ("queue_requests_max", "credit_requests_max", "frame_bytes_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.heartbeat_s <= 0:
            raise ValueError(f"heartbeat_s must be > 0, got {self.heartbeat_s}")
        if not 0 < self.backoff_s_min <= self.backoff_s_max:
            raise ValueError("backoff_s_min must be > 0 and <= backoff_s_max")
