"""Writes of a request: from the message to the store's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from admission.queue import Priority
from kvapi.errors import BadRequest, RequestTooLarge
from kvapi.pb import kv_pb2
from kvnode.admission.lane import ELASTIC, HIGH

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_ROW_OVERHEAD_BYTES: Final = 200  # of the objects that hold one row
_REPORTED_S: Final = 0.001  # a quantum
_RANKS: Final = {HIGH: Priority.HIGH, ELASTIC: Priority.BULK}


class Written(NamedTuple):
    """Puts and deletes; a key is in one of the two."""

    puts: dict[bytes, bytes]
    deletes: dict[bytes, None]
    size_bytes: int


def rank_of(request: kv_pb2.Request) -> Priority:
    """Return the place of a request's writes among those of its tenant."""
    return _RANKS.get(request.priority, Priority.NORMAL)


def reported_us(cpu_s: float) -> int:
    """Return the CPU time that an answer reports: of long work only.

    The fixed prices of small requests stand for theirs, and the same statement costs the same.
    """
    return int(cpu_s * 1e6) if cpu_s >= _REPORTED_S else 0


def parse_writes(
    session: StreamSession, writes: kv_pb2.Writes, *, absent_count: int = 0
) -> Written:
    """Return the writes of a message, which come with so many keys that must be absent.

    Raises: BadRequest, KeyTooLong, RequestTooLarge: more than one turn of the loop should look at.
    """
    rows = len(writes.put_keys) + len(writes.delete_keys)
    limit = session.core.config.write_rows_max
    if max(rows, absent_count) > limit:
        message = "more rows in one request than [kvnode] write_rows_max: stage them in chunks"
        raise RequestTooLarge(message, number=limit)
    if len(writes.put_keys) != len(writes.put_values):
        raise BadRequest("put_keys and put_values differ in length")
    keyspace = session.tenant.keyspace
    puts = dict(zip(keyspace.written_keys(writes.put_keys), writes.put_values, strict=True))
    deletes = dict.fromkeys(keyspace.keys(writes.delete_keys))
    if any(len(key) > session.core.engine.key_bytes_max for key in deletes):
        keyspace.written_keys(writes.delete_keys)  # raises, naming the key
    for key in puts.keys() & deletes.keys() if deletes else ():
        del puts[key]
    return Written(puts, deletes, writes.ByteSize() + rows * _ROW_OVERHEAD_BYTES)
