"""Which keys a request is about: what has to lie on one node, and what names no key at all."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from kvapi.pb import kv_pb2


class Touched(NamedTuple):
    """Keys and spans of one request."""

    keys: Iterable[bytes]
    spans: Iterable[tuple[bytes, bytes]] = ()


Keys = Callable[[kv_pb2.Request], Touched]


def _lock(request: kv_pb2.Request) -> Touched:
    is_advisory = request.lock.space == kv_pb2.ADVISORY
    return Touched(() if is_advisory else request.lock.keys)


def _refresh(request: kv_pb2.Request) -> Touched:
    footprint = request.refresh.footprint
    return Touched(footprint.keys, _spans(footprint))


def _stage(request: kv_pb2.Request) -> Touched:
    stage = request.stage
    return Touched([*stage.writes.put_keys, *stage.writes.delete_keys, *stage.absent_keys])


def _commit(request: kv_pb2.Request) -> Touched:
    commit = request.commit
    keys = [
        *commit.writes.put_keys,
        *commit.writes.delete_keys,
        *commit.absent_keys,
        *commit.footprint.keys,
    ]
    return Touched(keys, _spans(commit.footprint))


def _spans(footprint: kv_pb2.Footprint) -> list[tuple[bytes, bytes]]:
    return [(span.start, span.end) for span in footprint.spans]


# Not in here: what names no key, and Scan, which goes from node to node.
TOUCHED: Final[dict[str, Keys]] = {
    "get": lambda request: Touched((request.get.key,)),
    "multi_get": lambda request: Touched(request.multi_get.keys),
    "lock": _lock,
    "refresh": _refresh,
    "stage": _stage,
    "commit": _commit,
    "increment": lambda request: Touched((request.increment.key,)),
}
# What belongs to the node where the transaction has its locks and intents.
OF_A_TXN: Final = frozenset({"rollback", "heartbeat", "unstage", "unlock", "txn_status"})
BINDING: Final = frozenset({"lock", "stage", "refresh", "commit"})  # all on one node
TYING: Final = frozenset({"lock", "stage"})


def first_key(request: kv_pb2.Request, name: str) -> bytes | None:
    """Return some key of the request, None if it names none."""
    touched = TOUCHED[name](request)
    return next(iter(touched.keys), None)
