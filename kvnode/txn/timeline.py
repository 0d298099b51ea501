"""Time as the store sees it: who may read what, and which timestamp comes next.

**Invariants.** `durable_ts` is the newest commit that is on disk; a reader without a timestamp gets
it. The cached snapshot contains everything up to `durable_ts`. It never contains a batch that the
writer has not reported: what the loop knows of moved intents has to agree with where they are.

**Concurrency.** Owner: the event loop. The snapshot is let go when a batch is reported, and when
the store must grow, and taken again before the next batch begins; so nobody keeps it across turns
of the loop.
"""

from kvapi.errors import BadRequest
from kvapi.hlc import Hlc, from_wall_us
from kvnode.storage.engine import Engine, Snapshot

_FUTURE_US_MAX = 500_000  # a clock of another host may run ahead so far


class Timeline:
    """The newest durable timestamp, the next one, and a snapshot to read from."""

    def __init__(self, engine: Engine, hlc: Hlc, *, durable_ts: int) -> None:
        self._engine = engine
        self.hlc = hlc
        self.durable_ts = durable_ts
        self._snapshot: Snapshot | None = None
        hlc.update(durable_ts)

    def snapshot(self) -> Snapshot:
        """Return a view that holds everything durable; only for this turn of the loop."""
        if self._snapshot is None:
            self._snapshot = self._engine.snapshot()
        return self._snapshot

    def release_snapshot(self) -> None:
        """Let go of the cached view."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def advance(self, durable_ts: int) -> None:
        """Make everything up to `durable_ts` visible to new readers."""
        self.durable_ts = max(self.durable_ts, durable_ts)

    def reserve(self, read_ts: int) -> bool:
        """Keep later commits above `read_ts`; tell whether commits at or below may be pending.

        Raises: BadRequest for a timestamp in the future.
        """
        if read_ts <= self.durable_ts:
            return False
        # By the wall, not by what was seen: else each request pushes everyone's time on.
        if read_ts > max(self.hlc.newest, self.hlc.wall() + from_wall_us(_FUTURE_US_MAX)):
            raise BadRequest("read_ts lies in the future", number=read_ts)
        self.hlc.update(read_ts)
        return True
