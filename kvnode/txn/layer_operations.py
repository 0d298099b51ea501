"""What large transactions put through group commit: chunks of intents, and what becomes of them.

All are bulk (see `group_commit.py`): they wait for small commits, and small commits do not wait for
more than one of them. None `needs_sync`: what a power failure takes of them is done again, or is of
a transaction whose record, a synced write, was to come after it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from kvapi.errors import KvError
from kvnode.admission.write_gate import Taken
from kvnode.mvcc.intents import Moved, Place, discard, resolve, stage
from kvnode.storage.engine import WriteTxn
from kvnode.tenants.records import change_sizes


@dataclass(slots=True, eq=False, kw_only=True)
class StageOperation:
    """One chunk of intents."""

    is_bulk: ClassVar[bool] = True
    needs_sync: ClassVar[bool] = False

    tenant_id: int
    place: Place
    puts: Mapping[bytes, bytes]
    deletes: Sequence[bytes]
    layer_bytes: int
    size_bytes: int
    on_finish: Callable[["StageOperation", KvError | None], None]
    taken: Taken | None = None  # write tokens
    wait_s_max: float = math.inf  # of the first piece
    cpu_s: float = 0.0

    def apply(self, txn: WriteTxn) -> None:
        stage(
            txn,
            self.place,
            puts=self.puts,
            deletes=self.deletes,
            layer_bytes=self.layer_bytes,
        )

    def finish(self, error: KvError | None) -> None:
        self.on_finish(self, error)


@dataclass(slots=True, eq=False, kw_only=True)
class MoveOperation:
    """One quantum of moving a committed layer, or of discarding one (`commit_ts` 0)."""

    is_bulk: ClassVar[bool] = True
    needs_sync: ClassVar[bool] = False
    is_upkeep: ClassVar[bool] = True
    size_bytes: ClassVar[int] = 64 << 10

    tenant_id: int
    place: Place
    move_ts: int
    is_stacked: bool
    on_finish: Callable[["MoveOperation", KvError | None], None]
    moved: Moved = field(default_factory=Moved)
    cpu_s: float = 0.0

    def apply(self, txn: WriteTxn) -> None:
        if not self.move_ts:
            self.moved = discard(txn, self.place)
            return
        self.moved = resolve(txn, self.place, commit_ts=self.move_ts, is_stacked=self.is_stacked)
        change_sizes(txn, self.place.tenant, self.moved.change)

    def finish(self, error: KvError | None) -> None:
        self.on_finish(self, error)
