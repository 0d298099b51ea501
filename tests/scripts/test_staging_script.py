"""Large transactions on a simulated node, told as a transcript."""

import asyncio
from pathlib import Path

from kvapi.errors import KvError
from kvapi.pb import kv_pb2
from kvnode.mvcc import intents
from kvnode.storage.engine import Table
from tests.scripts.runner import run_script
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import VirtualLoop

HERE = Path(__file__).parent
ROLE = b"\x01\x02"  # the tenant's owner, who is no part of the story


class StagingMachine:
    """Directives: put, stage, unstage, commit, read, move, tables, start, finish, crash, wait.

    Layers are moved only when the transcript says so.
    """

    def __init__(self, loop):
        self.loop = loop
        self.node = SimNode(loop)
        self.tenant_id = loop.run_until_complete(self.node.create("t"))
        self.pending = None
        self.connect()

    def connect(self):
        self.stream = self.node.stream(self.tenant_id)
        self.tenant = self.node.core.tenants.load(self.tenant_id)
        self.tenant.layers.is_closed = True  # no moving by itself

    def __call__(self, directive):
        return getattr(self, directive.name)(directive)

    def run(self, future):
        return self.loop.run_until_complete(asyncio.wait_for(future, 60))

    def outcome(self, future, text):
        try:
            self.run(future)
        except KvError as error:
            return f"{type(error).__name__}: {error.message}"
        return text

    def writes(self, directive):
        rows = {k: v for k, v in directive.arguments.items() if k not in ("txn", "layer")}
        deletes = [key.encode() for key in directive.words]
        puts = {key.encode(): value.encode() for key, value in rows.items()}
        return kv_pb2.Writes(
            put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes
        )

    def txn(self, directive):
        name = directive.get("txn")
        return name.encode().ljust(16, b".") if name else b""

    def ask(self, directive, **operation):
        return self.stream.request(txn_id=self.txn(directive), **operation)

    def put(self, directive):
        commit = kv_pb2.Commit(writes=self.writes(directive))
        return self.outcome(self.ask(directive, commit=commit), "committed")

    def start(self, directive):
        directive.words.remove("put")
        commit = kv_pb2.Commit(writes=self.writes(directive))
        self.pending = self.ask(directive, commit=commit)
        self.loop.run_until_complete(asyncio.sleep(0.1))
        return "committed" if self.pending.done() else "waits"

    def finish(self, directive):
        return self.outcome(self.pending, "committed")

    def stage(self, directive):
        layer = int(directive.get("layer", "0"))
        staged = kv_pb2.Stage(writes=self.writes(directive), layer=layer)
        return self.outcome(self.ask(directive, stage=staged), "staged")

    def unstage(self, directive):
        unstage = kv_pb2.Unstage(layer=int(directive.get("layer")))
        return self.outcome(self.ask(directive, unstage=unstage), "dropped")

    def commit(self, directive):
        return self.outcome(self.ask(directive, commit=kv_pb2.Commit()), "committed")

    def read(self, directive):
        keys = directive.get("keys").split(",")
        read = kv_pb2.MultiGet(keys=[key.encode() for key in keys])
        got = self.run(self.ask(directive, multi_get=read)).values
        found = zip(keys, got.values, got.found, strict=True)
        return " ".join(f"{key}={value.decode() if here else '-'}" for key, value, here in found)

    def move(self, directive):
        layers, mover = self.tenant.layers, self.node.core.intents.mover
        before = mover.moved_count, mover.discarded_count
        for _ in range(int(directive.get("count", "1"))):
            layers.is_closed = False
            mover.wake(self.tenant)
            self.loop.run_until_complete(asyncio.sleep(0))  # its turn: one operation begins
            layers.is_closed = True
            self.loop.run_until_complete(asyncio.sleep(0.1))
        moved, discarded = mover.moved_count - before[0], mover.discarded_count - before[1]
        return f"{moved} moved, {discarded} discarded"

    def tables(self, directive):
        view, prefix = self.node.engine.snapshot(), self.tenant.prefix
        parts = []
        for table in (Table.LIVE, Table.HISTORY, Table.INTENTS, Table.LAYERS):
            rows = view.rows_from(table, prefix)
            parts.append(f"{table} {sum(ROLE not in key for key, _ in rows)}")
        return ", ".join(parts)

    def crash(self, directive):
        self.node.crash()
        self.connect()
        return "started again"

    def wait(self, directive):
        self.loop.run_until_complete(asyncio.sleep(float(directive.get("seconds"))))
        return "later"


def test_staging(rewrite, monkeypatch):
    """The transcript is the specification: what a large transaction shows, to whom, and when."""
    monkeypatch.setattr(intents, "RESOLVE_ROWS_MAX", 1)
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        run_script(HERE / "staging.txt", StagingMachine(loop), rewrite=rewrite)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
