"""Each KV operation: how its answer is read, and what it becomes if the connection breaks."""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kvapi.client.meter import (
    Meter,
    charge_commit,
    charge_get,
    charge_lock,
    charge_multi_get,
    charge_nothing,
    charge_refresh,
    charge_stage,
    charge_step,
)
from kvapi.client.results import (
    FOUND,
    Block,
    Counter,
    Got,
    MultiGot,
    RangeInfo,
    TxnOutcome,
    TxnState,
)
from kvapi.errors import NotLeaseholder
from kvapi.footprint import Footprint
from kvapi.pb import kv_pb2


class OnLoss(enum.Enum):
    """What becomes of a request that was outstanding when the connection broke."""

    RESEND = enum.auto()  # a read: asking again is harmless
    FAIL = enum.auto()  # ConnectionLost: the stream took its locks and staged writes with it
    DONE = enum.auto()  # the end of the stream did what was asked for
    RESOLVE = enum.auto()  # a commit: ask for its outcome
    AMBIGUOUS = enum.auto()  # CommitAmbiguous: outside transactions there is no outcome to ask for


class Operation(NamedTuple):
    """`decode(response, request)` gives what the future resolves to; `charge` what it used."""

    name: str
    decode: Callable[[kv_pb2.Response, kv_pb2.Request], Any]
    on_loss: OnLoss
    charge: Callable[[Meter, kv_pb2.Response, kv_pb2.Request], None] = charge_nothing


def _got(response: kv_pb2.Response, _: kv_pb2.Request) -> Got:
    value = response.value
    return Got(value.value if value.HasField("value") else None, value.commit_ts, response.read_ts)


def _multi_got(response: kv_pb2.Response, _: kv_pb2.Request) -> MultiGot:
    found = response.values.found
    values = [
        value if state == FOUND else None
        for value, state in zip(response.values.values, found, strict=True)
    ]
    return MultiGot(values, list(response.values.commit_ts), response.read_ts, found)


def _whole_block(response: kv_pb2.Response, request: kv_pb2.Request) -> Block:
    if response.block.resume_key:  # the router asks again, part by part
        message = "another KV node holds a part of the span"
        raise NotLeaseholder(message, key=request.scan.start)
    return _block(response, request)


def _block(response: kv_pb2.Response, request: kv_pb2.Request) -> Block:
    block = response.block
    return Block(
        block.row_count,
        block.keys,
        block.key_ends,
        block.values,
        block.value_ends,
        block.more,
        response.read_ts,
        request.scan.reverse,
        block.resume_key,
    )


def _ranges(response: kv_pb2.Response, _: kv_pb2.Request) -> list[RangeInfo]:
    return [
        RangeInfo(found.range_id, found.start, found.end, found.generation, found.leaseholder)
        for found in response.ranges.ranges
    ]


def _counter(response: kv_pb2.Response, _: kv_pb2.Request) -> Counter:
    return Counter(response.counter.value, response.counter.is_called)


def _txn_state(response: kv_pb2.Response, _: kv_pb2.Request) -> TxnState:
    status = response.txn_status
    return TxnState(TxnOutcome(status.state), status.commit_ts)


def _read_ts(response: kv_pb2.Response, _: kv_pb2.Request) -> int:
    return response.read_ts


def _commit_ts(response: kv_pb2.Response, _: kv_pb2.Request) -> int:
    return response.commit.commit_ts


def _oldest_version(response: kv_pb2.Response, _: kv_pb2.Request) -> int:
    return response.catalog_use.oldest_version


def _nothing(_: kv_pb2.Response, __: kv_pb2.Request) -> None:
    return None


GET: Final = Operation("get", _got, OnLoss.RESEND, charge_get)
MULTI_GET: Final = Operation("multi_get", _multi_got, OnLoss.RESEND, charge_multi_get)
SCAN: Final = Operation("scan", _whole_block, OnLoss.RESEND, charge_get)
SCAN_PART: Final = Operation("scan", _block, OnLoss.RESEND, charge_get)
RANGES: Final = Operation("ranges", _ranges, OnLoss.RESEND)
# Reads that see staged writes of their transaction, which a new connection does not have.
GET_OWN: Final = GET._replace(on_loss=OnLoss.FAIL)
MULTI_GET_OWN: Final = MULTI_GET._replace(on_loss=OnLoss.FAIL)
SCAN_OWN: Final = SCAN._replace(on_loss=OnLoss.FAIL)
LOCK: Final = Operation("lock", _multi_got, OnLoss.FAIL, charge_lock)
UNLOCK: Final = Operation("unlock", _nothing, OnLoss.DONE)
REFRESH: Final = Operation("refresh", _read_ts, OnLoss.FAIL, charge_refresh)
STAGE: Final = Operation("stage", _nothing, OnLoss.FAIL, charge_stage)
UNSTAGE: Final = Operation("unstage", _nothing, OnLoss.FAIL)
HEARTBEAT: Final = Operation("heartbeat", _nothing, OnLoss.DONE)
COMMIT: Final = Operation("commit", _commit_ts, OnLoss.RESOLVE, charge_commit)
ROLLBACK: Final = Operation("rollback", _nothing, OnLoss.DONE)
INCREMENT: Final = Operation("increment", _counter, OnLoss.AMBIGUOUS, charge_step)
COUNTER_PEEK: Final = Operation("counter_peek", _counter, OnLoss.RESEND, charge_get)
PROTECT: Final = Operation("protect", _nothing, OnLoss.FAIL)
CATALOG_USE: Final = Operation("catalog_use", _oldest_version, OnLoss.FAIL)
REPORT_USAGE: Final = Operation("report_usage", _nothing, OnLoss.RESEND)
TXN_STATUS: Final = Operation("txn_status", _txn_state, OnLoss.RESEND, charge_get)


def fill_footprint(message: kv_pb2.Footprint, footprint: Footprint) -> None:
    """Copy a footprint into its message."""
    message.keys.extend(footprint.keys)
    for start, end in footprint.spans:
        message.spans.add(start=start, end=end)


def fill_writes(message: kv_pb2.Writes, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Copy writes into their message; None deletes."""
    for key, value in writes:
        if value is None:
            message.delete_keys.append(key)
        else:
            message.put_keys.append(key)
            message.put_values.append(value)


_ENTRY_BYTES: Final = 16  # protobuf's own bytes around a key and a value, at most


def footprint_bytes(footprint: Footprint) -> int:
    """Return an upper bound of a footprint's size on the wire."""
    keys = sum(map(len, footprint.keys)) + _ENTRY_BYTES * len(footprint.keys)
    return keys + sum(len(s.start) + len(s.end) + _ENTRY_BYTES for s in footprint.spans)


def keys_bytes(keys: Sequence[bytes]) -> int:
    """Return an upper bound of the keys' size on the wire."""
    return sum(map(len, keys)) + 8 * len(keys)


def write_bytes(key: bytes, value: bytes | None) -> int:
    """Return an upper bound of one write's size on the wire."""
    return len(key) + (0 if value is None else len(value)) + _ENTRY_BYTES


def writes_bytes(writes: Mapping[bytes, bytes | None]) -> int:
    """Return an upper bound of the writes' size on the wire."""
    return sum(write_bytes(key, value) for key, value in writes.items())
