"""The KV node is killed while large transactions are staged, committed, moved: all or nothing."""

import asyncio
import itertools
import random
import secrets
import tempfile
from pathlib import Path

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import CommitAmbiguous, KvError
from kvnode.data_dir import store_path
from kvnode.storage.lmdb_engine import LmdbEngine
from kvnode.verify import problems_of, verify_store
from runtime.clock import SystemClock
from tests.e2e.test_kv_crash import READY_S, NodeProcess, Worker, read_all

pytestmark = [pytest.mark.e2e]

MOMENTS = ("staging", "committing", "moving")
ROWS = 3_000  # of each transaction, new ones
SLOTS = 400  # rows that each transaction overwrites
LOAD = b"\x02load/"
SLOT = b"\x02slot/"
END = b"\x02slot0"  # behind the slots


class Loader:
    """One large transaction after the other, each in layers, one of which is dropped."""

    def __init__(self, client):
        self.client = client
        self.names, self.acknowledged, self.in_doubt = [], set(), set()
        self.reached = {moment: asyncio.Event() for moment in MOMENTS}

    async def run(self, stop):
        while not stop.is_set():
            name = b"%06d" % len(self.names)
            self.names.append(name)
            try:
                await self._load(name, secrets.token_bytes(16))
                self.acknowledged.add(name)
                self.reached["moving"].set()
                await asyncio.sleep(0.01)
            except CommitAmbiguous:
                self.in_doubt.add(name)
            except KvError:
                await asyncio.sleep(0.01)

    async def _load(self, name, txn_id):
        client, stage = self.client, self.client.stage
        rows = {LOAD + name + b"/%06d" % n: name for n in range(ROWS)}
        slots = {SLOT + b"%04d" % n: name for n in range(SLOTS)}
        absent = list(rows)
        half = dict(itertools.islice(rows.items(), ROWS // 2))
        await stage(txn_id=txn_id, writes=half, absent_keys=absent[: ROWS // 2])
        self.reached["staging"].set()
        junk = dict.fromkeys([LOAD + name + b"/junk%d" % n for n in range(300)], b"") | slots
        await stage(txn_id=txn_id, writes=junk, layer=2)
        await client.unstage(txn_id=txn_id, layer=2)
        rest = {key: value for key, value in rows.items() if key not in half}
        await stage(txn_id=txn_id, writes=rest, layer=3, absent_keys=absent[ROWS // 2 :])
        await stage(txn_id=txn_id, writes=slots, layer=4)
        last = {LOAD + name + b"/%06d" % ROWS: name}
        commit = client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes=last)
        self.reached["committing"].set()
        await commit


def check(rows, acknowledged, *, in_doubt):
    """All of a transaction is there or nothing; what was acknowledged is; slots are the last's."""
    seen = {}
    for key, value in rows.items():
        if key.startswith(LOAD):
            name = key[len(LOAD) : len(LOAD) + 6]
            assert value == name, f"{key}: a dropped layer's row"
            seen[name] = seen.get(name, 0) + 1
    torn = {name: count for name, count in seen.items() if count != ROWS + 1}
    assert not torn, f"transactions that are there in part: {torn}"
    assert acknowledged <= set(seen), "an acknowledged transaction is gone"
    assert set(seen) <= acknowledged | in_doubt, "one that failed is there"
    slots = {value for key, value in rows.items() if key.startswith(SLOT)}
    assert slots == ({max(seen)} if seen else set()), "rows of several transactions, or an old one"


async def connected(node, credential):
    address = f"unix:{node.unix}"
    client = KvClient(address, config=ClientConfig(connect_wait_s=10.0), clock=SystemClock())
    await client.connect()
    await client.authenticate(credential)
    return client


async def killing(node, rng, kills):
    credential = await node.credential()
    clients = [await connected(node, credential) for _ in range(3)]
    loader, worker = Loader(clients[0]), Worker(0, clients[1])
    stop = asyncio.Event()
    tasks = [asyncio.ensure_future(each.run(stop)) for each in (loader, worker)]
    for kill in range(kills):
        reached = loader.reached[MOMENTS[kill % len(MOMENTS)]]
        reached.clear()
        async with asyncio.timeout(READY_S):
            await reached.wait()
        await asyncio.sleep(rng.choice([0, 0.001, 0.003, 0.01, 0.02]))
        node.kill()
        await node.start()
        acknowledged = set(loader.acknowledged)
        async with asyncio.timeout(READY_S):
            rows = await read_all(clients[2], LOAD, END)
        check(rows, acknowledged, in_doubt=set(loader.names))  # being resolved, some of them
    stop.set()
    await asyncio.gather(*tasks)
    check(await read_all(clients[2], LOAD, END), loader.acknowledged, in_doubt=loader.in_doubt)
    assert loader.acknowledged
    for client in clients:
        await client.close()
    small = int((await read_worker(node, credential, worker.row)) or b"0")
    assert len(worker.acknowledged) <= small <= len(worker.acknowledged | worker.ambiguous)


async def read_worker(node, credential, row):
    client = await connected(node, credential)
    value = (await client.get(row)).value
    await client.close()
    return value


async def run(kills, seed):
    with tempfile.TemporaryDirectory(prefix="insula-", ignore_cleanup_errors=True) as folder:
        node = NodeProcess(Path(folder))
        await node.start()
        try:
            await killing(node, random.Random(seed), kills)
        finally:
            if node.process.poll() is None:
                node.stop()
            node.log.close()
        log = (Path(folder) / "log").read_text()
        assert '"level": "ERROR"' not in log, log[-3000:]
        engine = LmdbEngine(store_path(node.data_dir))
        try:
            view = engine.snapshot()
            problems = problems_of(verify_store(view))
            view.close()
        finally:
            engine.close()
        assert not problems


@pytest.mark.timeout(120)
async def test_killed_around_a_large_commit():
    """A bulk load would be there in part, or be gone after its commit was acknowledged."""
    await run(kills=6, seed=1)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_killed_around_large_commits_many_times(seed):
    """The same where the window is small and rarely hit."""
    await run(kills=40, seed=seed)
