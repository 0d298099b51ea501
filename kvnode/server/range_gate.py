"""Shows requests to a tenant's range map: what they touch is counted, what lies elsewhere refused.

Only where the map is not plain: more than one range, one that is sampled, or one of another node.
"""

from collections.abc import Callable, Sequence
from typing import Final

from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.ranges.range_map import RangeMap

READS: Final = frozenset({"get", "multi_get", "scan", "lock"})
WRITES: Final = frozenset({"stage", "commit", "increment"})


def pass_gate(ranges: RangeMap, name: str | None, request: kv_pb2.Request) -> None:
    """Count the request, or refuse it. Raises: NotLeaseholder."""
    gate = _GATES.get(name)
    if gate is not None:
        gate(ranges, request)


def clamp_scan(ranges: RangeMap, scan: kv_pb2.Scan) -> tuple[Span, bytes]:
    """Return what of a scan this node holds, and where it goes on elsewhere (or b"").

    Raises: NotLeaseholder if it begins elsewhere.
    """
    return ranges.clamp(Span(scan.start, scan.end), reverse=scan.reverse)


def _check(ranges: RangeMap, keys: Sequence[bytes]) -> None:
    if ranges.is_partly_elsewhere:
        for key in keys:
            ranges.check_key(key)


def _get(ranges: RangeMap, request: kv_pb2.Request) -> None:
    keys = (request.get.key,)
    _check(ranges, keys)
    ranges.note_read(keys)


def _multi_get(ranges: RangeMap, request: kv_pb2.Request) -> None:
    keys = request.multi_get.keys
    _check(ranges, keys)
    ranges.note_read(keys)


def _scan(ranges: RangeMap, request: kv_pb2.Request) -> None:
    scan = request.scan  # its handler clamps it
    if scan.reverse:
        last = ranges.states[ranges.index_before(scan.end)].descriptor
        is_inside = scan.end and last.span.contains(scan.end)
        ranges.note_read((scan.end if is_inside else last.start,))
    else:
        ranges.note_read((scan.start,))


def _lock(ranges: RangeMap, request: kv_pb2.Request) -> None:
    if request.lock.space == kv_pb2.ADVISORY:
        return  # names nothing stored
    keys = request.lock.keys
    _check(ranges, keys)
    ranges.note_read(keys)


def _refresh(ranges: RangeMap, request: kv_pb2.Request) -> None:
    _check_footprint(ranges, request.refresh.footprint)


def _stage(ranges: RangeMap, request: kv_pb2.Request) -> None:
    _check(ranges, request.stage.absent_keys)
    _write(ranges, request.stage.writes)


def _commit(ranges: RangeMap, request: kv_pb2.Request) -> None:
    commit = request.commit
    _check_footprint(ranges, commit.footprint)
    _check(ranges, commit.absent_keys)
    _write(ranges, commit.writes)


def _increment(ranges: RangeMap, request: kv_pb2.Request) -> None:
    keys = (request.increment.key,)
    _check(ranges, keys)
    ranges.note_write(keys, 0, 0)  # counters live beside the rows


def _check_footprint(ranges: RangeMap, footprint: kv_pb2.Footprint) -> None:
    if ranges.is_partly_elsewhere:
        _check(ranges, footprint.keys)
        for span in footprint.spans:
            ranges.check_span(span.start, span.end)


def _write(ranges: RangeMap, writes: kv_pb2.Writes) -> None:
    keys = [*writes.put_keys, *writes.delete_keys]
    _check(ranges, keys)
    put_bytes = writes.ByteSize() if writes.put_keys else 0
    ranges.note_write(keys, put_bytes, len(writes.delete_keys))


_GATES: Final[dict[str | None, Callable[[RangeMap, kv_pb2.Request], None]]] = {
    "get": _get,
    "multi_get": _multi_get,
    "scan": _scan,
    "lock": _lock,
    "refresh": _refresh,
    "stage": _stage,
    "commit": _commit,
    "increment": _increment,
}
