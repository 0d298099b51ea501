"""The KV node's state machines, told as transcripts."""

from pathlib import Path

import pytest

from kvapi.footprint import Footprint
from kvapi.spans import Span
from kvnode.mvcc.apply import apply_writes
from kvnode.mvcc.formats import layer_prefix
from kvnode.mvcc.intents import Place, resolve, stage
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.layers import Layer, StagedTxn, TenantLayers
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Wait
from kvnode.txn.lock_table import LockTable
from kvnode.txn.recent_writes import RecentWrites
from kvnode.txn.validation import UNDECIDED, Validation, find_conflict
from tests.scripts.runner import run_script

HERE = Path(__file__).parent
UNKNOWN = "not known yet"
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
    """Directives: commit, large, move, validate, begin, look, finish, forget, restart.

    `begin` is a validation that looks at so many `rows` in a turn of the loop; `look` gives it one,
    `finish` as many as it takes.
    """

    def __init__(self):
        self.engine = MemoryEngine()
        self.recent = RecentWrites(low_water=0, keys_max=1000)
        self.layers = TenantLayers()
        self.durable_ts = 0
        self.validations = {}

    def __call__(self, directive):
        return getattr(self, directive.name)(directive)

    def key(self, text):
        return TENANT + text.encode()

    def writes(self, directive):
        puts = {self.key(k): b"v" for k in filter(None, directive.get("put").split(","))}
        return puts, [self.key(k) for k in filter(None, directive.get("delete").split(","))]

    def commit(self, directive):
        ts = int(directive.get("ts"))
        puts, deletes = self.writes(directive)
        self.recent.add(ts, [*puts, *deletes], durable_ts=ts)
        self.durable_ts = ts
        with self.engine.write() as txn:
            apply_writes(txn, tenant=TENANT, commit_ts=ts, puts=puts, deletes=deletes)
        return f"committed at {ts}"

    def large(self, directive):
        ts = int(directive.get("ts"))
        puts, deletes = self.writes(directive)
        layer = Layer(ts, 1, layer_prefix(TENANT, ts))
        layer.widen([*puts, *deletes])
        txn = StagedTxn(ts, None, None, b"", 0.0, [layer], is_durable=True)
        place = Place(TENANT, ts, ts, is_last=True)
        with self.engine.write() as write:
            stage(write, place, puts=puts, deletes=deletes, layer_bytes=1)
        self.recent.add(ts, [], durable_ts=ts)
        self.layers.sequence(txn, ts)
        self.durable_ts = ts
        return f"committed at {ts}, not moved"

    def move(self, directive):
        (txn,) = self.layers.committed
        place = Place(TENANT, txn.no, txn.no, is_last=True)
        with self.engine.write() as write:
            moved = resolve(write, place, commit_ts=txn.commit_ts, is_stacked=False)
        txn.extent.add(moved.first, moved.last)
        self.layers.unsequence(txn)
        self.layers.moved.append(txn.extent)
        return f"{moved.row_count} moved"

    def made(self, directive, rows):
        keys = [self.key(k) for k in filter(None, directive.get("keys").split(","))]
        spans = [
            Span(*(self.key(bound) for bound in span.split("-")))
            for span in filter(None, directive.get("spans").split(","))
        ]
        read_ts = int(directive.get("read_ts"))
        footprint = Footprint(keys, spans)
        return Validation(self.recent, self.layers, footprint, read_ts=read_ts, rows_per_look=rows)

    def validate(self, directive):
        return self.verdict(self.made(directive, 2_000))

    def begin(self, directive):
        name = directive.get("txn")
        self.validations[name] = self.made(directive, int(directive.get("rows")))
        return self.verdict(self.validations[name])

    def look(self, directive):
        return self.verdict(self.validations[directive.get("txn")])

    def finish(self, directive):
        validation = self.validations[directive.get("txn")]
        for turn in range(1, 100):
            verdict = self.verdict(validation)
            if verdict != UNKNOWN:
                return f"{verdict}, after {turn} more"
        raise AssertionError("no verdict")

    def verdict(self, validation):
        changed = find_conflict(validation, self.engine.snapshot(), durable_ts=self.durable_ts)
        if changed is UNDECIDED:
            return UNKNOWN
        return "valid" if changed is None else f"conflict at {changed[4:].decode()}"

    def forget(self, directive):
        self.recent.forget_before(int(directive.get("before")))
        self.layers.forget_before(int(directive.get("before")))
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
