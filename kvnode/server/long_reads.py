"""Reads in quanta: MultiGet and Scan, from the first step to the answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvapi.errors import InternalError, KvError, RequestTooLarge, Throttled, WriteConflict
from kvapi.pb import kv_pb2
from kvnode.admission.lane import ELASTIC
from kvnode.admission.read_gate import Read
from kvnode.mvcc.overlay import Overlay, find_intents
from kvnode.mvcc.point_read import ABSENT, Version, read_keys
from kvnode.mvcc.scan import ScanRun, ScanSpec
from kvnode.storage.engine import Snapshot
from kvnode.txn.layers import StagedTxn

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_KEYS_PER_STEP: Final = 256
_FOUND: Final = (b"\x00", b"\x01", b"\x02")  # absent, found, skipped


@dataclass(frozen=True, slots=True)
class OwnLayers:
    """Whose staged writes a long read sees besides, and up to which layer."""

    txn: StagedTxn | None
    layer_max: int


class _LongRead(Read):
    """A read in steps: bookkeeping that all kinds share."""

    wait_kind = "scan"
    answer_bytes = 64 << 10  # what it will gather, as far as that is known at first

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        read_ts: int,
        size_bytes: int,
        own: OwnLayers | None,
    ) -> None:
        self.tenant_id = session.tenant.id
        self.txn_start = read_ts
        self._own = own
        self._session = session
        self.gate = session.read_gate
        self._tenant = session.tenant
        self._request_id = request_id
        self._read_ts = read_ts
        self._size_bytes = size_bytes
        self._cpu_s = self._began_s = 0.0  # of the quanta before; thread time at this one's begin
        self._is_over = False

    def start(self, priority: int = 0) -> None:
        """Take the first step now or soon; `priority` as of `elastic_route.read_priority`.

        Raises: Throttled.
        """
        if priority == ELASTIC:
            self.is_elastic, self.wait_kind = True, "elastic"
        self._session.track(self._request_id, self._cancel, size_bytes=self._size_bytes)
        self._session.credit.long_reads += 1
        self._tenant.reads[self] = self._read_ts
        try:
            self._session.core.scheduler.start(self)
        except Throttled:
            self._end()
            raise

    def is_blocked(self) -> bool:
        """Tell whether to wait: for the client to read on, or for what other reads have."""
        return not self._is_over and super().is_blocked()

    def run(self, ends_s: float) -> bool:
        """Take steps until `ends_s`; after that the read counts as young: others come first."""
        core = self._session.core
        self._began_s = core.cpu.thread_s()
        while not self._step(core.timeline.snapshot()):
            if self._session.is_paused or core.scheduler.now() >= ends_s:
                self._cpu_s += core.cpu.thread_s() - self._began_s
                self.txn_start = core.timeline.hlc.newest
                return False
        return True

    def _step(self, snapshot: Snapshot) -> bool:
        if self._is_over:
            return True
        if not self.has_entered:
            self.gate.enter(self)
        try:
            if self.advance(snapshot):
                self._end()
                self.answer(self._response())
        except KvError as error:
            self._fail(error)
        except Exception as error:
            self._fail(InternalError(f"the read failed: {type(error).__name__}"))
            raise
        return self._is_over

    def advance(self, snapshot: Snapshot) -> bool:
        """Read on; tell whether all is read."""
        raise NotImplementedError

    def answer(self, response: kv_pb2.Response) -> None:
        """Fill in the answer."""
        raise NotImplementedError

    def _layers(self) -> Overlay:
        """Return the layers to lay over. Raises: WriteConflict if the read's own are gone."""
        layers, own = self._tenant.layers, self._own
        if own is None:
            return layers.overlay(self._read_ts) if layers.from_ts <= self._read_ts else ()
        if own.txn is not None and own.txn.is_over:
            raise WriteConflict("the transaction ended under its read")
        return layers.seen_by(own.txn, self._read_ts, layer_max=own.layer_max)

    def _deleted_since(self) -> bool:
        return self._tenant.last_delete_ts > self._read_ts

    def _response(self) -> kv_pb2.Response:
        response = self._session.respond(self._request_id)
        response.read_ts = self._read_ts
        cpu_s = self._cpu_s + self._session.core.cpu.thread_s() - self._began_s
        response.cpu_us = int(cpu_s * 1e6)
        return response

    def _cancel(self, error: KvError) -> None:
        if not self._is_over:
            self._fail(error)
            self._session.core.scheduler.withdraw(self)

    def _gathered(self, size_bytes: int) -> None:
        """Take note of what it has gathered, if that is more than was thought."""
        if (more := size_bytes - self.answer_bytes) > 0:
            self.answer_bytes = size_bytes
            self._session.core.memory.answers.add(self.tenant_id, more)

    def _fail(self, error: KvError) -> None:
        self._end()
        if not self._session.is_closed:
            self._session.answer_error(self._request_id, error)

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._session.credit.long_reads -= 1
        self._tenant.reads.pop(self, None)
        self._session.outstanding.pop(self._request_id)
        self.gate.leave(self)


class MultiGetRead(_LongRead):
    """Several keys at one snapshot."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        keys: list[bytes],
        read_ts: int,
        own: OwnLayers | None = None,
    ) -> None:
        super().__init__(session, request_id, read_ts, sum(map(len, keys)), own)
        self._keys = keys
        self._versions: list[Version] = []
        self._bytes = 0

    def advance(self, snapshot: Snapshot) -> bool:
        first = len(self._versions)
        read_ts, deleted_since = self._read_ts, self._deleted_since()
        keys = self._keys[first : first + _KEYS_PER_STEP]
        versions = read_keys(snapshot, keys, read_ts=read_ts, deleted_since=deleted_since)
        if layers := self._layers():
            intents = find_intents(snapshot, layers, keys)
            pairs = zip(keys, versions, strict=True)
            versions = [intents.get(key, version) for key, version in pairs]
        for version in versions:
            self._versions.append(version)
            if version.value is not None:
                self._bytes += len(version.value)
        limit = self._session.core.config.frame_bytes_max // 2
        if self._bytes > limit:
            raise RequestTooLarge("the values do not fit into one answer", number=limit)
        self._gathered(self._bytes)
        return len(self._versions) == len(self._keys)

    def answer(self, response: kv_pb2.Response) -> None:
        fill_values(response, self._versions, ())
        self._session.add_weight(self._bytes)


class LockedRead(MultiGetRead):
    """The rows of a large Lock: they stand still while it is held. Not `skipped` ones."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        keys: Sequence[bytes],
        skipped: Collection[bytes],
        read_ts: int,
        own: OwnLayers,
    ) -> None:
        super().__init__(session, request_id, list(keys), read_ts, own)
        self._skipped = skipped

    def answer(self, response: kv_pb2.Response) -> None:
        skipped = {index for index, key in enumerate(self._keys) if key in self._skipped}
        for index in skipped:
            self._versions[index] = ABSENT
        fill_values(response, self._versions, skipped)
        self._session.add_weight(response.cost_bytes)


class ScanRead(_LongRead):
    """A span at one snapshot; it goes on at `resume_key` on another node."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        spec: ScanSpec,
        own: OwnLayers | None,
        resume_key: bytes = b"",
    ) -> None:
        super().__init__(session, request_id, spec.read_ts, len(spec.start) + len(spec.end), own)
        self._run = ScanRun(spec)
        self.answer_bytes = 0 if spec.count_only else spec.limit_bytes
        self._resume_key = resume_key

    def advance(self, snapshot: Snapshot) -> bool:
        if not self._run.done:
            self._run.step(snapshot, deleted_since=self._deleted_since(), overlay=self._layers())
        return self._run.done

    def answer(self, response: kv_pb2.Response) -> None:
        packed = self._run.block()
        block = response.block
        block.SetInParent()
        block.row_count = packed.row_count
        block.keys = packed.keys
        block.key_ends = packed.key_ends
        block.values = packed.values
        block.value_ends = packed.value_ends
        block.more = packed.more
        if self._resume_key and not packed.more:
            block.more = True
            block.resume_key = self._resume_key
        response.cost_bytes = size = len(packed.keys) + len(packed.values)
        self._session.add_weight(size)


def fill_values(
    response: kv_pb2.Response, versions: list[Version], skipped: set[int] | tuple[()]
) -> None:
    """Fill in `values`; `skipped` are the indexes of keys that were not looked at."""
    values = response.values
    values.SetInParent()
    values.values.extend([version.value or b"" for version in versions])
    values.commit_ts.extend([version.commit_ts for version in versions])
    values.found = b"".join(
        _FOUND[2 if index in skipped else version.value is not None]
        for index, version in enumerate(versions)
    )
    response.cost_bytes = sum(len(version.value) for version in versions if version.value)
