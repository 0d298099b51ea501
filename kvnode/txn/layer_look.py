"""Is something of a footprint in a layer that has committed? Found out a stretch at a time.

**Model.** A committed layer only ever loses intents: to LIVE, where they are moved, or to a commit
that writes the same key. So a layer that was looked at once need not be looked at again. What was
moved away before a look came to it is in the extents of `TenantLayers`, and what a commit took away
is that commit's own conflict; whoever looks on has to look at those afterwards.

**Concurrency.** Owner: the event loop; a look may go on in a later turn, among other commits.
"""

from collections.abc import Sequence
from typing import Final

from kvapi.footprint import Footprint
from kvnode.mvcc.overlay import find_intents, first_intent
from kvnode.storage.engine import Snapshot
from kvnode.txn.layers import Layer, TenantLayers

_KEYS_AT_ONCE: Final = 256
_SPAN_COST: Final = 2  # going to a place costs as much as so many keys


class LayerLook:
    """What has been looked at for one footprint. Requires: full keys, disjoint spans."""

    __slots__ = ("_at", "_keys", "_looked", "_spans", "changed")

    def __init__(self, footprint: Footprint) -> None:
        self.changed: bytes | None = None
        self._keys: Sequence[bytes] = footprint.keys
        self._spans = footprint.spans
        self._looked: set[int] = set()  # layers, by number
        self._at: dict[int, int] = {}  # layer → how many of the keys, then of the spans

    def step(
        self, snapshot: Snapshot, layers: TenantLayers, *, since_ts: int, rows_max: int
    ) -> bool:
        """Look at about `rows_max` more places in what committed after `since_ts`.

        Returns whether that was all, or something changed.
        """
        left = rows_max
        for txn in layers.committed:
            if txn.commit_ts <= since_ts:
                continue
            for layer in txn.kept_layers():
                if layer.no in self._looked:
                    continue
                left = self._look(snapshot, layer, left)
                if self.changed is not None:
                    return True
                if layer.no not in self._looked:
                    return False
        return True

    def _look(self, snapshot: Snapshot, layer: Layer, rows_max: int) -> int:
        """Look on in one layer; return how much of `rows_max` is left."""
        keys, spans, prefix = self._keys, self._spans, layer.prefix
        at, left = self._at.get(layer.no, 0), rows_max
        while at < len(keys) and left > 0 and self.changed is None:
            some = keys[at : min(at + min(left, _KEYS_AT_ONCE), len(keys))]
            inside = [key for key in some if layer.low <= key <= layer.high]
            found = find_intents(snapshot, [layer.seen(0)], inside) if inside else ()
            self.changed = next(iter(found), None)
            at, left = at + len(some), left - len(some)
        while len(keys) <= at < len(keys) + len(spans) and left > 0 and self.changed is None:
            span = spans[at - len(keys)]
            if span.start <= layer.high and layer.low < span.end:
                self.changed = first_intent(snapshot, [prefix], span)
            at, left = at + 1, left - _SPAN_COST
        self._at[layer.no] = at
        if at == len(keys) + len(spans):
            self._looked.add(layer.no)
            del self._at[layer.no]
        return left
