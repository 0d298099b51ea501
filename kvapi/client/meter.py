"""Who pays for a request: the meter of the task that asks, and what each operation charges it.

**Model.** `current_meter` belongs to a task and what it starts, so that no call has to name it: a
session sets its own once. The stream notes it with each request and charges it when the request is
answered; what failed costs nothing.

    batch     a request of the contract, however many keys it names
    request   a key that is read, locked or written; a scan is one
    bytes     of values read, or of keys and values written, as the KV node or the frame counts them
    KV CPU    what the node has measured: scans, reads of several keys, long validations, and what
              large writes took in the writer thread; small requests are in the prices of batch and
              request

What they cost is in admission/cost_model.py.
"""

from contextvars import ContextVar
from typing import Final, Protocol

from kvapi.pb import kv_pb2


class Meter(Protocol):
    """Where use is counted."""

    def charge_read(self, requests: float, size_bytes: float) -> None:
        """Count a batch of reads."""
        ...

    def charge_write(self, requests: float, size_bytes: float) -> None:
        """Count a batch of writes."""
        ...

    def charge_kv_cpu(self, seconds: float) -> None:
        """Count CPU time of the KV node."""
        ...


current_meter: Final[ContextVar[Meter | None]] = ContextVar("current_meter", default=None)


def charge_get(meter: Meter, response: kv_pb2.Response, _: kv_pb2.Request) -> None:
    """Charge what reads one thing: a key, a span, a status."""
    meter.charge_read(1, response.cost_bytes)
    _charge_cpu(meter, response)


def charge_multi_get(meter: Meter, response: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge a read of several keys."""
    meter.charge_read(len(request.multi_get.keys), response.cost_bytes)
    _charge_cpu(meter, response)


def charge_lock(meter: Meter, response: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge locks: each reads its row. The node keeps them in memory only."""
    meter.charge_read(len(request.lock.keys), response.cost_bytes)
    _charge_cpu(meter, response)


def charge_refresh(meter: Meter, response: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge the validation of a footprint."""
    footprint = request.refresh.footprint
    meter.charge_read(len(footprint.keys) + len(footprint.spans), 0)
    _charge_cpu(meter, response)


def charge_commit(meter: Meter, response: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge a commit: its footprint is read, its writes go to disk."""
    commit = request.commit
    if commit.HasField("footprint"):
        footprint = commit.footprint
        meter.charge_read(len(footprint.keys) + len(footprint.spans), 0)
    _charge_writes(meter, commit.writes)
    _charge_cpu(meter, response)


def charge_stage(meter: Meter, response: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge writes ahead of a commit."""
    _charge_writes(meter, request.stage.writes)
    _charge_cpu(meter, response)


def charge_step(meter: Meter, _: kv_pb2.Response, request: kv_pb2.Request) -> None:
    """Charge a counter's step, which is a durable write of its own."""
    meter.charge_write(1, len(request.increment.key))


def charge_nothing(_: Meter, __: kv_pb2.Response, ___: kv_pb2.Request) -> None:
    """Charge nothing: the node's own housekeeping, and the end of what was charged before."""


def _charge_cpu(meter: Meter, response: kv_pb2.Response) -> None:
    if cpu_us := response.cpu_us:
        meter.charge_kv_cpu(cpu_us / 1e6)


def _charge_writes(meter: Meter, writes: kv_pb2.Writes) -> None:
    meter.charge_write(len(writes.put_keys) + len(writes.delete_keys), writes.ByteSize())
