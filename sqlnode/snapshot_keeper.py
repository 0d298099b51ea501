"""Long readers keep what they read: their snapshots are protected from garbage collection.

**Model.** One timer for the process, running only while there are transactions. What was read at
two of its ticks in a row is protected (kv.proto, Protect) for as long as it is read. Nothing is
added to a statement: a short one is over before the timer sees it twice.

    begin → wake ─ after_s/2 ─► tick: who reads? ─ after_s/2 ─► tick: still? → Protect
                                                                tick: ended? → give up

**Concurrency.** Belongs to the process's loop.
"""

import asyncio
from typing import Final, Protocol

from kvapi.client.kv_client import KvClient
from kvapi.errors import SnapshotTooOld

PROTECT_AFTER_S: Final = 5.0


class Reader(Protocol):
    """Who may hold a snapshot: a session, or work in the background."""

    def held_snapshot(self) -> tuple[bytes, int] | None:
        """Return a transaction's id and the oldest timestamp it reads; None: nothing."""
        ...


class SnapshotKeeper:
    """Protects the snapshots of one process; `after_s` 0 protects nothing."""

    def __init__(self, kv: KvClient, *, after_s: float = PROTECT_AFTER_S) -> None:
        self.is_awake = not after_s  # else the next transaction wakes it
        self._is_off = not after_s
        self._kv = kv
        self._period_s = after_s / 2
        self._readers: set[Reader] = set()
        self._seen: dict[bytes, int] = {}  # at the last tick
        self._kept: dict[bytes, int] = {}
        self._connect_count = kv.connect_count
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reader: Reader) -> None:
        """Look at a reader from now on."""
        self._readers.add(reader)

    def discard(self, reader: Reader) -> None:
        """Look at it no more."""
        self._readers.discard(reader)

    def wake(self) -> None:
        """Begin to look: there is a transaction."""
        self.is_awake = True
        self._timer = asyncio.get_running_loop().call_later(self._period_s, self.tick)

    def close(self) -> None:
        """Stop; what is protected ends with the connection."""
        self.is_awake = self._is_off = True
        if self._timer is not None:
            self._timer.cancel()

    def tick(self) -> None:
        """Protect what is still read, give up what is not."""
        if self._connect_count != self._kv.connect_count:
            self._connect_count = self._kv.connect_count
            self._kept.clear()  # ended with the connection
        held = [reader.held_snapshot() for reader in self._readers]
        now = dict(snapshot for snapshot in held if snapshot is not None)
        for txn_id in self._kept.keys() - now.keys():
            self._send(txn_id, 0)
            del self._kept[txn_id]
        for txn_id, read_ts in now.items():
            if self._seen.get(txn_id) == read_ts and self._kept.get(txn_id) != read_ts:
                self._kept[txn_id] = read_ts
                self._send(txn_id, read_ts)
        self._seen = now
        self.is_awake = bool(now)
        if now:
            self.wake()

    def keep(self, txn_id: bytes, read_ts: int) -> None:
        """Protect a snapshot at once; its reader must be known, or it is given up again."""
        if not self._is_off:
            self._kept[txn_id] = read_ts
            self._send(txn_id, read_ts)

    def _send(self, txn_id: bytes, read_ts: int) -> None:
        def done(answer: "asyncio.Future[None]") -> None:
            error = None if answer.cancelled() else answer.exception()
            # What is gone stays gone, and its reader will learn so; all else is tried again.
            if error is not None and not isinstance(error, SnapshotTooOld):
                self._kept.pop(txn_id, None)

        self._kv.protect(txn_id=txn_id, read_ts=read_ts).add_done_callback(done)
