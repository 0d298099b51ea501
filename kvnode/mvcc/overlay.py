"""Layers over the newest versions: what large transactions have written and nobody has moved yet.

**Model.** A layer is one stretch of a transaction's staged writes, its intents in key order. A
reader lays over LIVE and HISTORY the layers it may see: those committed at or before its snapshot,
and its own uncommitted ones on top of them. The topmost layer that has a key decides.

    own layer 2 │  b=9
    own layer 1 │  a=1        (deleted) c
    committed   │        b=2
    LIVE        │  a=0   b=1        c=1      d=1

**Invariants.** An intent of a committed layer is newer than every other version of its key outside
the layers above it: a later commit moves it away before it writes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kvapi.spans import Span, prefix_end
from kvnode.mvcc.formats import LAYER_BYTES, TENANT_BYTES, TOMBSTONE
from kvnode.mvcc.point_read import ABSENT, Version
from kvnode.storage.engine import Snapshot, Table


class Layer(NamedTuple):
    """One layer as a reader sees it. `commit_ts` is 0 of the reader's own, uncommitted ones."""

    prefix: bytes
    commit_ts: int


Overlay = Sequence[Layer]  # the topmost first


def find_intent(snapshot: Snapshot, overlay: Overlay, key: bytes) -> Version | None:
    """Return what the topmost intent on `key` says, or None if there is none."""
    rest = key[TENANT_BYTES:]
    for prefix, commit_ts in overlay:
        stored = snapshot.get(Table.INTENTS, prefix + rest)
        if stored is not None:
            return ABSENT if stored == TOMBSTONE else Version(stored[1:], commit_ts)
    return None


def find_intents(
    snapshot: Snapshot, overlay: Overlay, keys: Sequence[bytes]
) -> dict[bytes, Version]:
    """Return what `find_intent` would for those of `keys` that have an intent."""
    found: dict[bytes, Version] = {}
    missing = keys
    for prefix, commit_ts in overlay:
        if not missing:
            break
        stored = snapshot.get_many(Table.INTENTS, [prefix + key[TENANT_BYTES:] for key in missing])
        for layer_key, intent in stored.items():
            key = prefix[:TENANT_BYTES] + layer_key[LAYER_BYTES:]
            found[key] = ABSENT if intent == TOMBSTONE else Version(intent[1:], commit_ts)
        if stored:
            missing = [key for key in missing if key not in found]
    return found


def first_intent(snapshot: Snapshot, layers: Iterable[bytes], span: Span) -> bytes | None:
    """Return a key of `span` that has an intent in one of the layers of these prefixes, or None."""
    for prefix in layers:
        row = snapshot.seek(Table.INTENTS, layer_bound(prefix, span.start))
        if row is not None and row[0] < layer_bound(prefix, span.end):
            return prefix[:TENANT_BYTES] + row[0][LAYER_BYTES:]
    return None


def layer_bound(prefix: bytes, key: bytes) -> bytes:
    """Return where `key`, the bound of a span of the layer's tenant, lies in the layer."""
    if key[:TENANT_BYTES] == prefix[:TENANT_BYTES]:
        return prefix + key[TENANT_BYTES:]
    return prefix_end(prefix)
