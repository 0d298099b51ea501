"""Random transactions on random faults, in virtual time; everything follows from the seed.

**Model.** Real `Transaction`, `KvClient` and node; the network, the disk and the clocks are
simulated. Three SQL processes with three sessions each share a few hot lists. Faults strike between
any two steps: after the n-th frame that the node worked through, or at a random time. At the end
everything is healed and all lists are read once more.
"""

import asyncio
import os
import random
from dataclasses import dataclass, field

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import CommitAmbiguous, KvError, WriteConflict
from kvnode.core import Core
from kvnode.node_config import NodeConfig
from sqlnode.txn import Transaction
from tests.history.list_append import check
from tests.history.model import Level, Outcome, Txn, describe
from tests.sim import list_store
from tests.sim.busy_engine import BusyEngine
from tests.sim.history_faults import Faults
from tests.sim.network import Network
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

PROCESSES, SESSIONS, TXNS = 3, 3, 6
TRACE_LINES_MAX = 60


class JumpingClock:
    """Wall time that is set forward and back; monotonic time is the loop's."""

    def __init__(self, loop):
        self.loop = loop
        self.monotonic_s = loop.monotonic_s
        self.offset_s = 0.0

    def now_ns(self):
        return self.loop.now_ns() + int(self.offset_s * 1e9)


@dataclass(slots=True)
class SimTxn(Txn):
    """A transaction that also writes groups of rows, of which some may be undone."""

    groups: list = field(default_factory=list)
    undone_groups: set = field(default_factory=set)


class Process:
    """A SQL process: one `KvClient`, several sessions."""

    def __init__(self, sim, number):
        self.sim, self.number = sim, number
        self.is_dead = False
        self.tasks = []
        self.client = KvClient(
            "sim:",
            config=sim.client_config,
            clock=sim.loop,
            make_transport=sim.network.maker(self),
        )

    async def run(self):
        """Come up and start the sessions; not if it is killed, or the node is down for too long."""
        try:
            await self.client.authenticate(self.sim.credential)
        except KvError as error:
            self.sim.note(f"process {self.number} does not come up: {error}")
        if not self.is_dead:
            self.tasks = [
                self.sim.loop.create_task(self.sim.session(self, f"{self.number}.{n}"))
                for n in range(SESSIONS)
            ]

    async def kill(self):
        """Die as by kill -9: nothing is sent any more, what was sent may arrive."""
        self.is_dead = True
        for link in self.sim.network.links_of(self):
            link.client_died()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()


class HistorySim:
    """One run. `txns` is the history, `events` what the faults did."""

    def __init__(self, loop, seed, level, *, core_type=Core, faults=True):
        self.loop, self.seed, self.level = loop, seed, level
        self.rng = random.Random(seed)
        self.clock = JumpingClock(loop)
        is_staging = getattr(core_type, "is_staging", True)
        self.stage_bytes = self.rng.choice([1, 60, 8 << 20] if is_staging else [8 << 20])
        self.client_config = ClientConfig(
            commit_rows_max=self.rng.choice([1, 3, 2_000] if is_staging else [2_000]),
            chunk_rows_max=self.rng.choice([1, 3]),
            heartbeat_s=self.rng.choice([0.004, 2.5]),
        )
        config = NodeConfig(
            recent_keys_max=self.rng.choice([3, 40, 200_000]),
            validate_rows_max=self.rng.choice([1, 3, 2_000]),
            gc_ttl_s=self.rng.choice([0.05, 600]),
            gc_ttl_s_min=0.01,
            heartbeat_lapse_s=self.rng.choice([0.01, 10.0, 10.0]),
            range_commit=self.rng.choice(["atomic", "staged"] if is_staging else ["atomic"]),
        )
        self.groups = {}
        # On a slow machine what takes many rows takes many turns of the loop.
        engine = BusyEngine(loop, get_s=0, row_s=self.rng.choice([0, 0, 0.0004]))
        self.node = SimNode(
            loop, self.rng.random(), config, engine, core_type=core_type, clock=self.clock
        )
        self.network = Network(self.node, self.rng, delay_s_max=self.rng.choice([0.0005, 0.003]))
        self.has_faults = faults
        self.txns, self.events = [], []
        self.next_value = 0
        self.left = PROCESSES * SESSIONS * TXNS
        self.is_over = asyncio.Event()
        self.errors = []

    def note(self, text):
        self.events.append((self.loop.time(), text))

    async def run(self):
        self.tenant_id = tenant_id = await self.node.create("t")
        self.credential = self.node.credential(tenant_id, life_s=10**8)
        await self.open()
        self.processes = [Process(self, number) for number in range(PROCESSES)]
        works = [self.loop.create_task(process.run()) for process in self.processes]
        faults = self.loop.create_task(Faults(self).strike())
        await self.is_over.wait()
        await asyncio.gather(faults, *works)
        sessions = [task for process in self.processes for task in process.tasks]
        await asyncio.gather(*sessions, return_exceptions=True)
        if not self.errors:
            await self.read_everything()
        for process in self.processes:
            await process.client.close()
        await asyncio.sleep(0.5)
        if self.errors:
            raise self.errors[0]
        assert len(self.node.core.locks.table) == 0, "locks were left behind"

    async def open(self):
        process = Process(self, "first")
        await process.client.authenticate(self.credential)
        for key, value in list_store.opening_rows().items():  # each too small to be staged
            txn = self.begin(process.client, "serializable")
            txn.put(key, value)
            await txn.commit()
        await process.client.close()

    async def read_everything(self):
        process = Process(self, "last")
        self.processes.append(process)
        await process.client.authenticate(self.credential)
        made = Txn("last", self.loop.time())
        txn = self.begin(process.client, "serializable")
        for key in list_store.KEYS:
            made.ops.append(await list_store.read(txn, key, self.rng))
        self.check_groups(await list_store.read_groups(txn))
        await txn.commit()
        made.end(Outcome.OK, self.loop.time())
        self.txns.append(made)

    async def replace(self, index):
        """Kill one process and start another in its place."""
        await self.processes[index].kill()
        self.processes[index] = Process(self, f"{index}+")
        await self.processes[index].run()

    def check_groups(self, groups):
        """What was acknowledged is there as a whole, what failed is not there at all."""
        for group, made in self.groups.items():
            if made.outcome is not Outcome.UNKNOWN:
                is_there = made.outcome is Outcome.OK and group not in made.undone_groups
                assert (group in groups) == is_there, f"group {group} of {made}"

    def begin(self, client, isolation):
        return Transaction(
            client,
            txn_id=self.rng.randbytes(16),
            catalog_version=0,
            isolation=isolation,
            stage_bytes=self.stage_bytes,
        )

    # --- sessions

    async def session(self, process, name):
        while not self.is_over.is_set():
            self.left -= 1
            if not self.left:
                self.is_over.set()
            try:
                await self.transaction(process, name)
            except KvError:
                raise AssertionError("transaction() ends them all") from None
            except Exception as error:
                self.errors.append(error)
                self.is_over.set()
                self.end_sessions()  # what this one has locked nobody will free
                raise
            if self.rng.random() < 0.5:
                await asyncio.sleep(self.rng.uniform(0, 0.004))

    def end_sessions(self):
        for process in self.processes:
            for task in process.tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    async def transaction(self, process, name):
        made = SimTxn(name, self.loop.time())
        self.txns.append(made)
        txn = self.begin(process.client, self.level.value)
        try:
            await self.operations(txn, made)
            had_writes = txn.has_writes
        except (KvError, TimeoutError) as error:
            await txn.rollback()
            made.end(Outcome.FAILED, self.loop.time(), f"{type(error).__name__}: {error}")
            return
        if self.rng.random() < 0.04:
            await txn.rollback()
            made.end(Outcome.FAILED, self.loop.time(), "rolled back")
            return
        try:
            commit_ts = await txn.commit()
        except CommitAmbiguous as error:
            made.note = str(error)
        except KvError as error:
            made.end(Outcome.FAILED, self.loop.time(), f"{type(error).__name__}: {error}")
        else:
            word = "committed at" if had_writes else "read at"
            made.end(Outcome.OK, self.loop.time(), f"{word} {commit_ts}")

    async def operations(self, txn, made):
        rng = self.rng
        is_reader = rng.random() < 0.2
        savepoints = []
        for _ in range(rng.randrange(1, 5)):
            mark, count, group_count = txn.begin_statement(), len(made.ops), len(made.groups)
            deadline_s = rng.uniform(0.001, 0.01) if rng.random() < 0.04 else None
            async with asyncio.timeout(deadline_s):
                try:
                    made.ops += await self.operation(txn, made, is_reader)
                    await txn.settle()
                except WriteConflict:
                    if self.level is Level.READ_COMMITTED or rng.random() < 0.5:
                        raise
                    await txn.retry_statement(mark)  # the client has seen nothing of it
                    del made.ops[count:]
                    del made.groups[group_count:]
                    made.ops += await self.operation(txn, made, is_reader)
                    await txn.settle()
            self.savepoint(txn, made, savepoints)
            if rng.random() < 0.3:
                await asyncio.sleep(rng.uniform(0, 0.003))

    def savepoint(self, txn, made, savepoints):
        """Perhaps set, release or return to a savepoint; they nest."""
        what = self.rng.random()
        if what < 0.2:
            savepoints.append((f"s{len(savepoints)}", len(made.ops), len(made.groups)))
            txn.savepoints.set(savepoints[-1][0])
        elif savepoints and what < 0.5:
            index = self.rng.randrange(len(savepoints))
            name, count, group_count = savepoints[index]
            if what < 0.25:
                txn.savepoints.release(name)
                del savepoints[index:]
                return
            txn.savepoints.rollback_to(name)
            made.undo_to(count)
            made.undone_groups |= set(made.groups[group_count:])
            del savepoints[index + 1 :]

    async def operation(self, txn, made, is_reader):
        rng = self.rng
        key = rng.choice(list_store.KEYS)
        what = rng.random()
        if what > 0.9:
            if is_reader or what > 0.97:
                await list_store.read_groups(txn)
                return []
            self.next_value += 1
            made.groups.append(self.next_value)
            self.groups[self.next_value] = made
            await list_store.write_group(txn, self.next_value, rng.randrange(2, 12))
            return []
        if is_reader or what < 0.35:
            if what < 0.1:
                return await list_store.read_items(txn)
            if what < 0.2 and key.startswith("item"):
                return await list_store.read_locked(txn, key, rng)
            return [await list_store.read(txn, key, rng)]
        self.next_value += 1
        done = await list_store.append(txn, key, self.next_value, rng)
        await txn.make_room()
        return done


def simulate(seed, level, *, core_type=Core, faults=True):
    """Run one seed; return (the simulation, what is wrong with its history)."""

    async def main(loop):
        sim = HistorySim(loop, seed, level, core_type=core_type, faults=faults)
        await sim.run()
        return sim

    sim = run_virtual(main)
    return sim, check(sim.txns, level)


def trace(sim, anomalies):
    """Return what a failing test says: how to replay, the anomalies, and what happened around."""
    concerned = {number for anomaly in anomalies[:3] for number in anomaly.txns}
    times = [sim.txns[n].begin_s for n in concerned] + [
        sim.txns[n].end_s or sim.loop.time() for n in concerned
    ]
    first, last = (min(times), max(times)) if times else (0.0, sim.loop.time())
    lines = [(at, f"{at:.4f} *** {text}") for at, text in sim.events]
    lines += [(txn.begin_s, f"{txn.begin_s:.4f} T{n} {txn}") for n, txn in enumerate(sim.txns)]
    around = [text for at, text in sorted(lines) if first - 0.02 <= at <= last + 0.02]
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    return "\n".join(
        [
            f"seed {sim.seed} at {sim.level.value}; replay: pytest '{test}'",
            describe(anomalies, sim.txns),
            "what happened around it:",
            *around[:TRACE_LINES_MAX],
        ]
    )
