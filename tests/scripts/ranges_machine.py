"""Two KV nodes on virtual time, told as a transcript: ranges split, merge, move and commit."""

import asyncio
import random

from kvapi.errors import KvError
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.ranges.descriptor import RangeDescriptor, RangeTable
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import VirtualLoop

CONFIG = {
    "range_bytes_max": 8_000,
    "range_merge_bytes_max": 2_000,
    "range_load_split_per_s": 100.0,
    "range_load_s": 10.0,
    "range_quiet_s": 300.0,
}


class RangeMachine:
    """Directives: insert, delete, read, scan, load, pass, ranges, restart, move, split, commit."""

    def __init__(self):
        self.loop = VirtualLoop()
        self.rng = random.Random(1)
        self.nodes = {}
        self.streams = {}
        for name in ("n1", "n2"):
            node = SimNode(self.loop, seed=1, config=NodeConfig(**CONFIG, range_commit="staged"))
            node.core.set_address(name)
            self.tenant_id = self.run(node.create("acme"))
            self.nodes[name] = node
            self.streams[name] = node.stream(self.tenant_id)

    def run(self, work):
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(work)
        finally:
            asyncio.set_event_loop(None)

    def __call__(self, directive):
        return self.run(getattr(self, f"do_{directive.name}")(directive))

    def close(self):
        self.loop.close()

    def tenant(self, name="n1"):
        return self.nodes[name].core.load_tenant(self.tenant_id)

    # --- data

    def keys(self, directive):
        low, _, high = directive.get("rows").partition("-")
        return [b"row%04d" % number for number in range(int(low), int(high or low) + 1)]

    async def do_insert(self, directive):
        keys = self.keys(directive)
        size = int(directive.get("bytes", "93"))
        writes = kv_pb2.Writes(put_keys=keys, put_values=[b"v" * size] * len(keys))
        return await self.commit_on(directive.get("node", "n1"), writes)

    async def do_delete(self, directive):
        return await self.commit_on("n1", kv_pb2.Writes(delete_keys=self.keys(directive)))

    async def commit_on(self, name, writes):
        try:
            await self.streams[name].request(commit=kv_pb2.Commit(writes=writes))
        except KvError as error:
            return self.describe(error)
        return "committed"

    async def do_read(self, directive):
        (key,) = self.keys(directive)
        name = directive.get("node", "n1")
        try:
            answer = await self.streams[name].request(get=kv_pb2.Get(key=key))
        except KvError as error:
            return self.describe(error)
        return "found" if answer.value.HasField("value") else "absent"

    async def do_scan(self, directive):
        keys = self.keys(directive)
        scan = kv_pb2.Scan(start=keys[0], end=keys[-1] + b"\0")
        try:
            answer = await self.streams[directive.get("node", "n1")].request(scan=scan)
        except KvError as error:
            return self.describe(error)
        block = answer.block
        rest = f", resume at {block.resume_key.decode()}" if block.resume_key else ""
        return f"{block.row_count} rows{rest}"

    def describe(self, error):
        where = f" start={error.key.decode() or '(first)'} generation={error.number}"
        return f"{type(error).__name__}:{where} leaseholder={error.detail}"

    # --- time and load

    async def do_pass(self, directive):
        for _ in range(int(directive.get("seconds"))):
            await self.second()
        return await self.do_ranges(directive)

    async def do_load(self, directive):
        keys = self.keys(directive)
        for _ in range(int(directive.get("seconds"))):
            for _ in range(int(directive.get("per_s"))):
                key = self.rng.choice(keys)
                self.streams["n1"].request(get=kv_pb2.Get(key=key))
            await self.second()
        return await self.do_ranges(directive)

    async def second(self):
        await asyncio.sleep(1)
        for node in self.nodes.values():
            await node.keeper.tick()

    async def do_ranges(self, directive):
        name = directive.get("node", "n1")
        await self.nodes[name].keeper.measure(self.tenant(name), wait_s_max=60)
        lines = []
        for state in self.tenant(name).ranges.states:
            found = state.descriptor
            start, end = found.start.decode() or "(first)", found.end.decode() or "(end)"
            size = "" if state.size is None else f" keys={state.size.key_count}"
            holder = f" at {found.leaseholder}" if found.leaseholder else ""
            head = f"range {found.range_id} generation {found.generation}{holder}:"
            lines.append(f"{head} {start} .. {end}{size}")
        return "\n".join(lines)

    async def do_restart(self, directive):
        name = directive.get("node", "n1")
        self.nodes[name].crash()
        self.nodes[name].core.set_address(name)
        self.streams[name] = self.nodes[name].stream(self.tenant_id)
        return await self.do_ranges(directive)

    async def do_move(self, directive):
        """Give all ranges from a key on to a node; both nodes learn it."""
        (cut,) = self.keys(directive)
        table = self.tenant("n1").ranges.table
        generation = max(found.generation for found in table.ranges) + 1
        ranges = (
            RangeDescriptor(1, b"", cut, generation, "n1"),
            RangeDescriptor(table.next_id, cut, b"", generation, directive.get("to")),
        )
        for name, node in self.nodes.items():
            await node.keeper.assign(self.tenant(name), RangeTable(ranges, table.next_id + 1))
        return await self.do_ranges(directive)

    async def do_split(self, directive):
        (cut,) = self.keys(directive)
        await self.nodes["n1"].keeper.split(self.tenant(), cut)
        return await self.do_ranges(directive)

    # --- a commit over several ranges, step by step

    async def do_commit(self, directive):
        """Commit rows, and let the node stop when `writes` more writes of the store are done."""
        node, keys = self.nodes["n1"], [b"row%04d" % int(n) for n in directive.get("to").split(",")]
        left = int(directive.get("writes", "100"))
        steps, run = [], node.writer.run

        def watched(operations, report):
            if len(steps) == left:
                node.writer.is_dead = True
                return
            steps.append([type(operation).__name__ for operation in operations])
            run(operations, report)

        node.writer.run = watched
        writes = kv_pb2.Writes(
            put_keys=keys, put_values=[directive.get("value").encode()] * len(keys)
        )
        asked = self.streams["n1"].request(
            commit=kv_pb2.Commit(writes=writes), txn_id=directive.get("txn").encode() * 16
        )
        await asyncio.sleep(1)
        node.writer.run = run
        told = "committed" if asked.done() and not asked.exception() else "no answer"
        lines = [f"write {number}: {' '.join(names)}" for number, names in enumerate(steps, 1)]
        return "\n".join([*lines, told])

    async def do_outcome(self, directive):
        txn_id = directive.get("txn").encode() * 16
        answer = await self.streams["n1"].request(txn_status=kv_pb2.TxnStatus(txn_id=txn_id))
        return kv_pb2.TxnStatusResult.State.Name(answer.txn_status.state).lower()

    async def do_values(self, directive):
        lines = []
        for number in directive.get("of").split(","):
            get = kv_pb2.Get(key=b"row%04d" % int(number))
            value = (await self.streams["n1"].request(get=get)).value
            lines.append(f"{number}={value.value.decode() if value.HasField('value') else '-'}")
        return " ".join(lines)
