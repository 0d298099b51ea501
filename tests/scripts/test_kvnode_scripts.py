"""The KV node's state machines, told as transcripts."""

from pathlib import Path

import pytest

from kvapi.footprint import Footprint
from kvapi.spans import Span
from kvnode.mvcc.apply import apply_writes
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Wait
from kvnode.txn.lock_table import LockTable
from kvnode.txn.recent_writes import RecentWrites
from kvnode.txn.validation import find_conflict
from tests.scripts.runner import run_script

HERE = Path(__file__).parent
TENANT = b"\x00\x00\x00\x01"


MODES = {mode.name.lower(): mode for mode in Mode}


class LockMachine:
    """Directives: acquire, unlock, release, expire, show."""

    def __init__(self):
        self.table = LockTable()
        self.waiting = {}

    def __call__(self, directive):
        return getattr(self, directive.name)(directive)

    def acquire(self, directive):
        txn = directive.get("txn")
        request = LockRequest(
            txn,
            [key.encode() for key in directive.get("keys").split(",")],
            MODES[directive.get("mode", "exclusive")],
            Wait(directive.get("wait", "block")),
            directive.get("statement"),
            session=directive.get("session") or None,
            is_advisory=directive.get("space") == "advisory",
        )
        if self.table.acquire(request):
            return self.describe(request)
        self.waiting[txn] = request
        return f"txn {txn} waits for {request.waits_at.decode()}"

    def release(self, directive):
        return self.settled(self.table.release(directive.get("txn")))

    def unlock(self, directive):
        keys = [key.encode() for key in directive.get("keys").split(",")]
        mode = MODES[directive.get("mode", "exclusive")]
        return self.settled(self.table.unlock(directive.get("txn"), keys, mode))

    def expire(self, directive):
        request = self.waiting[directive.get("txn")]
        return "\n".join([self.settled(self.table.expire(request)), self.describe(request)])

    def show(self, directive):
        return f"{len(self.table)} keys, {self.table.waiting_count()} waiting"

    def settled(self, requests):
        return "\n".join(map(self.describe, requests)) or "nobody was waiting for that"

    def describe(self, request):
        if (error := request.error) is not None:
            where = f"txn {request.owner}: {type(error).__name__} at {error.key.decode()}"
            return "\n".join(filter(None, [where, error.detail]))
        skipped = ",".join(sorted(key.decode() for key in request.skipped))
        return f"txn {request.owner} goes on" + (f", skipped {skipped}" if skipped else "")


class ValidationMachine:
    """Directives: commit, validate, forget, restart."""

    def __init__(self):
        self.engine = MemoryEngine()
        self.recent = RecentWrites(low_water=0, keys_max=1000)

    def __call__(self, directive):
        return getattr(self, directive.name)(directive)

    def key(self, text):
        return TENANT + text.encode()

    def commit(self, directive):
        ts = int(directive.get("ts"))
        puts = {self.key(k): b"v" for k in filter(None, directive.get("put").split(","))}
        deletes = [self.key(k) for k in filter(None, directive.get("delete").split(","))]
        self.recent.add(ts, [*puts, *deletes], durable_ts=ts)
        with self.engine.write() as txn:
            apply_writes(txn, tenant=TENANT, commit_ts=ts, puts=puts, deletes=deletes)
        return f"committed at {ts}"

    def validate(self, directive):
        keys = [self.key(k) for k in filter(None, directive.get("keys").split(","))]
        spans = [
            Span(*(self.key(bound) for bound in span.split("-")))
            for span in filter(None, directive.get("spans").split(","))
        ]
        read_ts = int(directive.get("read_ts"))
        snapshot = self.engine.snapshot()
        changed = find_conflict(self.recent, snapshot, Footprint(keys, spans), read_ts=read_ts)
        return "valid" if changed is None else f"conflict at {changed[4:].decode()}"

    def forget(self, directive):
        self.recent.forget_before(int(directive.get("before")))
        return f"low water {self.recent.low_water}"

    def restart(self, directive):
        self.recent = RecentWrites(low_water=int(directive.get("durable")), keys_max=1000)
        return "restarted"


@pytest.mark.parametrize(
    ("name", "machine"), [("lock_table", LockMachine), ("validation", ValidationMachine)]
)
def test_script(name, machine, rewrite):
    """The transcripts are the specification: whoever waits, is refused or conflicts, and why."""
    run_script(HERE / f"{name}.txt", machine(), rewrite=rewrite)
