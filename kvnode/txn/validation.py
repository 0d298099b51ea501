"""May this transaction commit? Nothing that it read may have changed since its snapshot.

**Invariants.** A conflict may be reported that is none (a restart, a long span, a version that was
garbage): the transaction runs again. A conflict is never missed.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final

from kvapi.footprint import Footprint
from kvapi.spans import Span
from kvnode.mvcc.formats import TS_BYTES, history_bound, split_history_key, ts_bytes
from kvnode.mvcc.point_read import newest_change
from kvnode.storage.engine import Snapshot, Table
from kvnode.txn.layers import TenantLayers
from kvnode.txn.recent_writes import RecentWrites

_ROWS_MAX: Final = 100_000  # of one span looked at in the store; more is reported as a conflict
_MOVED_ROWS_MAX: Final = 2_000  # the same, where a large transaction has just written


def find_conflict(
    recent: RecentWrites,
    snapshot: Snapshot,
    footprint: Footprint,
    *,
    read_ts: int,
    layers: TenantLayers | None = None,
) -> bytes | None:
    """Return a key of the footprint that was written after `read_ts`, or None.

    Requires: full keys, no empty span end, `read_ts` not below the garbage threshold.
    """
    changed = recent.changed_key(footprint.keys, footprint.spans, since_ts=read_ts)
    if changed is None and layers is not None and (layers.committed or layers.moved):
        changed = _changed_by_layers(layers, snapshot, footprint, read_ts)
    if changed is not None or read_ts >= recent.low_water:
        return changed
    return _changed_in_store(snapshot, footprint, read_ts, rows_max=_ROWS_MAX)


FindConflict = Callable[..., bytes | None]  # `find_conflict`; only tests put another in its place


def _changed_by_layers(
    layers: TenantLayers, snapshot: Snapshot, footprint: Footprint, read_ts: int
) -> bytes | None:
    """Look at large transactions, which the recent writes do not hold."""
    changed = layers.changed_key(snapshot, footprint, since_ts=read_ts)
    if changed is not None:
        return changed
    moved = layers.moved_parts(footprint, since_ts=read_ts)
    return _changed_in_store(snapshot, moved, read_ts, rows_max=_MOVED_ROWS_MAX)


def _changed_in_store(
    snapshot: Snapshot, footprint: Footprint, read_ts: int, *, rows_max: int
) -> bytes | None:
    for key in footprint.keys:
        if newest_change(snapshot, key) > read_ts:
            return key
    for span in footprint.spans:
        if (changed := _changed_in_span(snapshot, span, read_ts, rows_max)) is not None:
            return changed
    return None


def _changed_in_span(snapshot: Snapshot, span: Span, read_ts: int, rows_max: int) -> bytes | None:
    newest = ts_bytes(read_ts + 1)
    looked_at = 0
    for key, stored in islice(snapshot.rows_from(Table.LIVE, span.start), rows_max):
        if key >= span.end:
            break
        if stored[:TS_BYTES] >= newest:
            return key
        looked_at += 1
    history = snapshot.rows_from(Table.HISTORY, history_bound(span.start))
    end = history_bound(span.end)
    for stored_key, _ in islice(history, rows_max):
        if stored_key >= end:
            break
        key, ts = split_history_key(stored_key)
        if ts > read_ts:
            return key
        looked_at += 1
    return span.start if looked_at >= rows_max else None
