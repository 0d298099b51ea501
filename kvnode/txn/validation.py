"""May this transaction commit? Nothing that it read may have changed since its snapshot.

**Model.** A `Validation` knows up to which commit it has looked at everything. Each look goes on
from there, as far as one turn of the event loop allows, and ends with an answer or with
`UNDECIDED`: look again in a later turn. Three places tell what changed:

    recent writes   small commits, in memory, durable or not; those above their low water mark
    layers          large transactions that committed and are not moved yet
    the store       all else: what the recent writes have forgotten, and what was moved

The store is walked in quanta (store_walk.py) while others commit. A walk is true of the moment at
which it began, because layers are looked at in that moment as well; what came later is looked at
afterwards. So a transaction of any length over any number of rows comes to an answer, and the last
look takes one turn, in which nothing can change.

**Invariants.** A conflict is never missed. One that is none is reported only where a write left
things as they were, where a commit failed for want of room, and to who does not catch up with the
tenant's writes in `_WALKS_MAX` walks.

**Concurrency.** Owner: the event loop.
"""

import enum
from collections.abc import Callable
from typing import Final

from kvapi.errors import InternalError
from kvapi.footprint import Footprint
from kvapi.spans import merged
from kvnode.storage.engine import Snapshot
from kvnode.txn.layer_look import LayerLook
from kvnode.txn.layers import TenantLayers
from kvnode.txn.recent_writes import RecentWrites
from kvnode.txn.store_walk import StoreWalk

_WALKS_MAX: Final = 16


class Undecided(enum.Enum):
    """The answer takes more than one turn of the loop."""

    UNDECIDED = enum.auto()


UNDECIDED: Final = Undecided.UNDECIDED
Verdict = bytes | Undecided | None  # a key that was written, or not known yet, or valid


class Validation:
    """The reads of one transaction on their way to a verdict.

    Requires: full keys, no empty span end; at every look `read_ts` is not below the garbage
    threshold.
    """

    __slots__ = (
        "_changed",
        "_footprint",
        "_layer_look",
        "_layers",
        "_log_ts",
        "_recent",
        "_rows_per_look",
        "_since_ts",
        "_walk",
        "_walk_count",
        "_walk_until",
        "cpu_s",
        "detail",
        "failure",
        "read_ts",
    )

    def __init__(
        self,
        recent: RecentWrites,
        layers: TenantLayers,
        footprint: Footprint,
        *,
        read_ts: int,
        rows_per_look: int,
    ) -> None:
        self.read_ts = read_ts
        self.detail = ""  # of a conflict
        self.cpu_s = 0.0  # of looks that had turns of their own
        self.failure: InternalError | None = None  # it cannot be decided any more
        self._recent = recent
        self._layers = layers
        spans = footprint.spans
        self._footprint = Footprint(footprint.keys, merged(list(spans)) if spans else ())
        self._rows_per_look = rows_per_look
        self._layer_look: LayerLook | None = None
        self._since_ts = read_ts  # everything up to here has been looked at
        self._log_ts = read_ts  # and the recent writes up to here
        self._walk: StoreWalk | None = None
        self._walk_until = self._walk_count = 0
        self._changed: bytes | None = None

    def look(self, snapshot: Snapshot, *, durable_ts: int) -> Verdict:
        """Go on for one turn of the loop. `None`: valid, as long as this turn lasts."""
        while self._changed is None:
            if self._walk is None and not self._look_at_newer(snapshot, durable_ts):
                return UNDECIDED
            walk = self._walk
            if walk is None or self._changed is not None:
                break
            if not walk.step(snapshot, self._rows_per_look):
                return UNDECIDED
            self._changed, self._walk = walk.changed, None
            self._since_ts = self._walk_until
            self._log_ts = max(self._log_ts, self._since_ts)
        return self._changed

    def _look_at_newer(self, snapshot: Snapshot, durable_ts: int) -> bool:
        """Look at what came since; begin a walk where the store has to be asked.

        Returns False if there is more to look at.
        """
        recent, layers, footprint = self._recent, self._layers, self._footprint
        # Below it layers that were moved are forgotten as well: where the log is does not help.
        has_forgotten = self._since_ts < recent.low_water
        if not has_forgotten:
            self._changed, self._log_ts = recent.look(
                footprint.keys,
                footprint.spans,
                since_ts=self._log_ts,
                probes_max=self._rows_per_look,
            )
            if self._changed is not None:
                return True
            if self._log_ts < recent.newest_ts:
                return False
        if layers.committed:
            look = self._layer_look = self._layer_look or LayerLook(footprint)
            rows_max = self._rows_per_look
            if not look.step(snapshot, layers, since_ts=self._since_ts, rows_max=rows_max):
                return False
            self._changed = look.changed
        if has_forgotten:
            # Nothing is forgotten before it is durable.
            self._begin_walk(footprint, until=max(durable_ts, recent.low_water))
            return True
        if layers.committed or layers.moved:
            parts = layers.moved_parts(footprint, since_ts=self._since_ts)
            if parts.keys or parts.spans:
                self._begin_walk(parts, until=self._log_ts)
                return True
        self._since_ts = self._log_ts
        return True

    def _begin_walk(self, parts: Footprint, *, until: int) -> None:
        if self._changed is not None:
            return
        self._walk_count += 1
        if self._walk_count > _WALKS_MAX:
            self._changed = parts.keys[0] if parts.keys else parts.spans[0].start
            self.detail = "validation did not catch up with what others wrote meanwhile"
            return
        self._walk = StoreWalk(parts, since_ts=self._since_ts)
        self._walk_until = until


def find_conflict(validation: Validation, snapshot: Snapshot, *, durable_ts: int) -> Verdict:
    """Look, or look on. The one way into validation; see `FindConflict`."""
    return validation.look(snapshot, durable_ts=durable_ts)


FindConflict = Callable[..., Verdict]  # `find_conflict`; only tests put another in its place
