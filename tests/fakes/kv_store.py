"""An in-memory KV node for one tenant: every operation of the contract, no disk, no admission.

Versions are kept for ever, so any read_ts works. Locks are exclusive only, FIFO per key;
deadlocks are not looked for.
"""

from collections import defaultdict
from itertools import accumulate

from kvapi.client.results import ABSENT, FOUND, SKIPPED
from kvapi.errors import (
    BadRequest,
    Cancelled,
    CounterExhausted,
    KeyExists,
    KvError,
    LockNotAvailable,
    LockTimeout,
    SchemaChanged,
    WriteConflict,
)
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvapi.wire import error_to_proto

BLOCK_ROWS_MAX = 1000


class FakeKvStore:
    """The shared state; `FakeStream` is one client's view."""

    def __init__(self):
        self.newest_ts = 1000
        self.catalog_version = 1
        self.kept = (0, 0)  # the version that stays valid beside a newer one
        self.changed = {}  # relation -> the oldest version that is right about it
        self.streams = []
        self.versions = defaultdict(list)  # key -> [(commit_ts, value or None)], oldest first
        self.counters = {}
        self.outcomes = {}  # txn_id -> commit_ts
        self.refused = set()
        self.locks = {}  # key -> txn_id
        self.waiters = []  # FakeStream lock requests: (stream, request, deadline handle)
        self.request_counts = defaultdict(int)

    @property
    def oldest_valid(self):
        """The oldest catalog version that requests may name."""
        before, newest = self.kept
        return before if newest == self.catalog_version else self.catalog_version

    def check_catalog(self, request):
        """Refuse what was planned against another catalog; of relations, only if they changed."""
        version = request.catalog_version
        if not version or self.oldest_valid <= version <= self.catalog_version:
            return
        oldest = [self.changed.get(r, self.changed.get(None, 0)) for r in request.relations]
        if not oldest or not max(oldest) <= version <= self.catalog_version:
            raise SchemaChanged("planned before", number=self.catalog_version)

    def read(self, key, read_ts):
        for commit_ts, value in reversed(self.versions.get(key, ())):
            if commit_ts <= read_ts:
                return value, commit_ts
        return None, 0

    def put(self, key, value):
        """Commit one write from outside any stream."""
        self.newest_ts += 1
        self.versions[key].append((self.newest_ts, value))
        return self.newest_ts

    def rows(self, span, read_ts):
        keys = sorted(k for k in self.versions if span.contains(k))
        found = ((k, self.read(k, read_ts)[0]) for k in keys)
        return [(k, v) for k, v in found if v is not None]

    def validate(self, footprint, read_ts):
        for key in footprint.keys:
            if self.versions.get(key, [(0, None)])[-1][0] > read_ts:
                raise WriteConflict("changed after the snapshot", key=key)
        for pb_span in footprint.spans:
            span = Span(pb_span.start, pb_span.end)
            for key, versions in self.versions.items():
                if span.contains(key) and versions[-1][0] > read_ts:
                    raise WriteConflict("changed after the snapshot", key=key)

    def commit(self, request, staged, own):
        txn_id, commit = request.txn_id, request.commit
        if txn_id in self.refused:
            raise WriteConflict("declared as never to commit")
        self.validate(commit.footprint, request.read_ts)
        for key in commit.absent_keys:
            if (own[key] if key in own else self.read(key, self.newest_ts)[0]) is not None:
                raise KeyExists("exists", key=key)
        self.newest_ts += 1
        for writes in [*staged, commit.writes]:
            for key, value in zip(writes.put_keys, writes.put_values, strict=True):
                self._write(key, value)
            for key in writes.delete_keys:
                self._write(key, None)
        self.outcomes[txn_id] = self.newest_ts
        if commit.schema_change:
            before, self.catalog_version = self.catalog_version, self.newest_ts
            self.kept = (before, self.newest_ts) if commit.keeps_previous else (0, 0)
            changed = commit.changed or [None, *self.changed]
            self.changed.update(dict.fromkeys(changed, self.oldest_valid))
            for stream in self.streams:
                stream.announce()
        return self.newest_ts

    def _write(self, key, value):
        versions = self.versions[key]
        if versions and versions[-1][0] == self.newest_ts:
            versions.pop()
        versions.append((self.newest_ts, value))

    def increment(self, op):
        value, is_called = self.counters.get(op.key, (op.start, False))
        if op.peek:
            return value, is_called
        if op.set:
            self.counters[op.key] = (op.start, op.is_called)
            return self.counters[op.key]
        for _ in range(op.count or 1):
            value = value + op.by if is_called else value
            is_called = True
            if op.has_bounds and not op.min <= value <= op.max:
                if not op.cycle:
                    raise CounterExhausted("at its bound", number=op.max)
                value = op.min if op.by > 0 else op.max
        self.counters[op.key] = (value, is_called)
        return value, True

    def free(self, txn_id):
        self.locks = {k: t for k, t in self.locks.items() if t != txn_id}
        waiting, self.waiters = self.waiters, []
        for stream, request, timer in waiting:
            stream.lock(request, timer)


class FakeStream:
    """One client's stream: requests in, responses out through `send(ServerFrame)`."""

    def __init__(self, store, send, loop):
        self.store = store
        self._send = send
        self._loop = loop
        self._staged = defaultdict(list)
        self._txns = set()
        self.used_version = store.catalog_version
        store.streams.append(self)

    def announce(self):
        """Send the newest catalog version unasked."""
        self._send(self._frame([]))

    def handle(self, requests):
        """Answer a frame's requests, in one frame but for those that wait."""
        responses = []
        for request in requests:
            op = request.WhichOneof("op")
            self.store.request_counts[op] += 1
            response = kv_pb2.Response(id=request.id)
            try:
                self.store.check_catalog(request)
                if getattr(self, f"_{op}")(request, response) is False:
                    continue
            except KvError as error:
                response.error.CopyFrom(error_to_proto(error))
            responses.append(response)
        self._answer(responses)

    def close(self):
        """Free what the stream held."""
        self.store.waiters = [w for w in self.store.waiters if w[0] is not self]
        if self in self.store.streams:
            self.store.streams.remove(self)
        for txn_id in self._txns:
            self.store.free(txn_id)

    def _answer(self, responses):
        if responses:
            self._send(self._frame(responses))

    def _frame(self, responses):
        store = self.store
        return kv_pb2.ServerFrame(
            responses=responses,
            catalog_version=store.catalog_version,
            oldest_catalog_version=store.oldest_valid,
        )

    def _read_ts(self, request):
        return request.read_ts or self.store.newest_ts

    def _get(self, request, response):
        response.read_ts = self._read_ts(request)
        value, commit_ts = self._seen(request, request.get.key, response.read_ts)
        response.value.SetInParent()
        if value is not None:
            response.value.value = value
            response.value.commit_ts = commit_ts

    def _multi_get(self, request, response, *, keys=None, skipped=()):
        response.read_ts = self._read_ts(request)
        found = []
        for key in keys or request.multi_get.keys:
            value, commit_ts = self._seen(request, key, response.read_ts)
            present = key not in skipped and value is not None
            found.append(SKIPPED if key in skipped else FOUND if present else ABSENT)
            response.values.values.append(value if present else b"")
            response.values.commit_ts.append(commit_ts if present else 0)
        response.values.found = bytes(found)

    def _scan(self, request, response):
        scan, response.read_ts = request.scan, self._read_ts(request)
        rows = self.store.rows(Span(scan.start, scan.end), response.read_ts)
        own = self._own(request)
        if own:
            merged = dict(rows) | {k: v for k, v in own.items() if Span(*_span(scan)).contains(k)}
            rows = sorted((k, v) for k, v in merged.items() if v is not None)
        if scan.reverse:
            rows.reverse()
        limit = min(scan.limit_rows or BLOCK_ROWS_MAX, BLOCK_ROWS_MAX)
        block = response.block
        block.more = len(rows) > limit
        rows = rows[:limit]
        block.row_count = len(rows)
        if scan.count_only:
            return
        block.keys, block.key_ends = _pack([k for k, _ in rows])
        if not scan.keys_only:
            block.values, block.value_ends = _pack([v for _, v in rows])

    def _lock(self, request, response):
        self._txns.add(request.txn_id)
        lock = request.lock
        timer = None
        if lock.timeout_ms:
            timer = self._loop.call_later(
                lock.timeout_ms / 1000, self._give_up, request.id, LockTimeout("lock timeout")
            )
        return self._try_lock(request, response, timer)

    def _try_lock(self, request, response, timer):
        store, lock = self.store, request.lock
        busy = {k for k in lock.keys if store.locks.get(k, request.txn_id) != request.txn_id}
        if busy and lock.wait == kv_pb2.NOWAIT:
            raise LockNotAvailable("locked", key=min(busy))
        if busy and lock.wait == kv_pb2.BLOCK:
            store.waiters.append((self, request, timer))
            return False
        if timer:
            timer.cancel()
        store.locks.update({k: request.txn_id for k in lock.keys if k not in busy})
        own = kv_pb2.Request(txn_id=request.txn_id)
        self._multi_get(own, response, keys=lock.keys, skipped=busy)
        return None

    def lock(self, request, timer):
        """Try again after somebody freed locks."""
        response = kv_pb2.Response(id=request.id)
        if self._try_lock(request, response, timer) is not False:
            self._answer([response])

    def _give_up(self, request_id, error):
        before = len(self.store.waiters)
        self.store.waiters = [
            w for w in self.store.waiters if w[0] is not self or w[1].id != request_id
        ]
        if len(self.store.waiters) < before:
            self._answer([kv_pb2.Response(id=request_id, error=error_to_proto(error))])

    def _cancel(self, request, _):
        self._give_up(request.cancel.request_id, Cancelled("cancelled"))
        return False

    def _refresh(self, request, response):
        self.store.validate(request.refresh.footprint, request.read_ts)
        response.read_ts = self.store.newest_ts
        response.done.SetInParent()

    def _own(self, request):
        """Return what the request's transaction has staged: key -> value, or None for a delete."""
        own = {}
        for layer, writes in self._staged.get(request.txn_id, ()) if request.txn_id else ():
            if not request.layer_max or layer <= request.layer_max:
                own.update(zip(writes.put_keys, writes.put_values, strict=True))
                own.update(dict.fromkeys(writes.delete_keys))
        return own

    def _seen(self, request, key, read_ts):
        own = self._own(request)
        return (own[key], 0) if key in own else self.store.read(key, read_ts)

    def _stage(self, request, response):
        stage = request.stage
        self._txns.add(request.txn_id)
        for key in stage.absent_keys:
            own = kv_pb2.Request(txn_id=request.txn_id)
            if self._seen(own, key, self.store.newest_ts)[0] is not None:
                raise KeyExists("exists", key=key)
        staged = self._staged[request.txn_id]
        top = staged[-1][0] if staged else 1
        if stage.layer and stage.layer < top:
            raise BadRequest("a chunk for a layer that has others above it")
        staged.append((stage.layer or top, stage.writes))
        response.done.SetInParent()

    def _unstage(self, request, response):
        staged = self._staged[request.txn_id]
        self._staged[request.txn_id] = [s for s in staged if s[0] < request.unstage.layer]
        response.done.SetInParent()

    def _heartbeat(self, request, response):
        response.done.SetInParent()

    def _commit(self, request, response):
        own = self._own(kv_pb2.Request(txn_id=request.txn_id))
        staged = [writes for _, writes in self._staged.pop(request.txn_id, [])]
        response.commit.commit_ts = self.store.commit(request, staged, own)
        self.store.free(request.txn_id)

    def _rollback(self, request, response):
        self._staged.pop(request.txn_id, None)
        self.store.free(request.txn_id)
        response.done.SetInParent()

    def _unlock(self, request, response):
        locks = self.store.locks
        for key in request.unlock.keys:
            if locks.get(key) == request.txn_id:
                del locks[key]
        self.store.free(b"")  # those who waited look again
        response.done.SetInParent()

    def _catalog_use(self, request, response):
        store = self.store
        self.used_version = request.catalog_use.oldest_version or self.used_version
        oldest = min(stream.used_version for stream in store.streams)
        if oldest >= store.catalog_version:
            store.kept = (0, 0)
        response.catalog_use.oldest_version = max(oldest, store.oldest_valid)

    def _increment(self, request, response):
        response.counter.value, response.counter.is_called = self.store.increment(request.increment)

    def _txn_status(self, request, response):
        txn_id = request.txn_status.txn_id
        commit_ts = self.store.outcomes.get(txn_id)
        if commit_ts is None:
            self.store.refused.add(txn_id)
        response.txn_status.state = 0 if commit_ts is None else 1
        response.txn_status.commit_ts = commit_ts or 0

    def _None(self, request, response):
        raise BadRequest("request without an operation")


def _span(scan):
    return scan.start, scan.end


def _pack(items):
    ends = b"".join(e.to_bytes(4, "little") for e in accumulate(map(len, items)))
    return b"".join(items), ends
