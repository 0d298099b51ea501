"""What the KV node asks of a storage engine: sorted tables, snapshots, atomic durable writes.

**Model.** A handful of named tables, each a sorted map of bytes to bytes. Readers hold a
`Snapshot`, which never changes; there is one writer at a time, whose `write()` block becomes
visible and durable as a whole when it ends.

**Invariants.** When `write()` returned, everything in it survives kill -9 and power loss; when it
raised, none of it is visible. A snapshot opened after that sees it. What was written with
`is_synced=False` survives kill -9; power loss may take the last such writes, but none that is
followed by a synced one. Keys have 1 to `key_bytes_max` bytes.

**Concurrency.** Snapshots belong to the thread that opened them. Writes may run in another thread
than reads. `grow` needs a moment without any snapshot or write; the caller arranges it.
"""

import enum
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from kvapi.errors import KvError

Row = tuple[bytes, bytes]


class Table(enum.StrEnum):
    """The sorted maps of one store; see `mvcc/formats.py` and `tenants/records.py`."""

    LIVE = "live"  # newest version of every key
    HISTORY = "history"  # older versions and tombstones
    GARBAGE = "garbage"  # which commit superseded which keys, in time order
    TXNS = "txns"  # outcome of recent transactions
    INTENTS = "intents"  # staged writes of large transactions, layer by layer
    LAYERS = "layers"  # whose they are, and which transactions committed
    COUNTERS = "counters"  # sequences and row ids: outside transactions
    SYSTEM = "system"  # tenants and the store's own state


class StoreNeedsGrowth(Exception):
    """The write did not fit into the map and had no effect: `grow()`, then write again."""


class StoreCorrupt(KvError):
    """The store's files are damaged or belong to something else; an operator must look."""

    code = 0


class Snapshot(Protocol):
    """An unchanging view of all tables."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        ...

    def get_many(self, table: Table, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those of `keys` that exist."""
        ...

    def seek(self, table: Table, key: bytes) -> Row | None:
        """Return the first row at or after `key`."""
        ...

    def seek_before(self, table: Table, key: bytes) -> Row | None:
        """Return the last row before `key`; an empty `key` means the end of the table."""
        ...

    def rows_from(self, table: Table, start: bytes) -> Iterator[Row]:
        """Yield rows upwards from the first at or after `start`."""
        ...

    def rows_before(self, table: Table, end: bytes) -> Iterator[Row]:
        """Yield rows downwards from the last before `end`; empty means the end of the table."""
        ...

    def close(self) -> None:
        """Let go of the view. Iterators made from it end with it."""
        ...


class WriteTxn(Snapshot, Protocol):
    """The view of the one writer, which sees its own changes."""

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there."""
        ...

    def put_many(self, table: Table, rows: Sequence[Row]) -> None:
        """Put several rows: quickest if they are sorted."""
        ...

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove `key`; tell whether it was there."""
        ...


class Engine(Protocol):
    """One store."""

    key_bytes_max: int

    def snapshot(self) -> Snapshot:
        """Open a view of the newest durable state."""
        ...

    def write(self, *, is_synced: bool = True) -> AbstractContextManager[WriteTxn]:
        """Run one atomic write: durable when the block ends, undone when it raises.

        With `is_synced` False: durable with the next synced one.

        Raises: StoreNeedsGrowth, DiskFull.
        """
        ...

    def needs_growth(self) -> bool:
        """Tell whether the map should grow soon, before a write has to fail and be repeated."""
        ...

    def grow(self) -> None:
        """Make room. Requires: no snapshot, no write. Raises: DiskFull at the configured end."""
        ...

    def make_room(self) -> bool:
        """Make the next writes cheap, if they are not, in a millisecond or two; tell if it did.

        Requires: no other write. The map may `grow` meanwhile.
        """
        ...

    def used_bytes(self) -> int:
        """Return the bytes of storage in use."""
        ...

    def close(self) -> None:
        """Release the store. Requires: no open snapshot and no write."""
        ...
