"""The KV node is killed under load, twenty times: what was acknowledged is there, exactly once."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc.aio
import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import CommitAmbiguous, KvError
from kvapi.footprint import Footprint
from kvapi.pb import admin_pb2, admin_pb2_grpc
from kvapi.spans import Span
from runtime.clock import SystemClock

KILLS = int(os.environ.get("INSULA_KILLS", "20"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180 + 5 * KILLS)]
WORKERS = 8
READY_S = 15


class NodeProcess:
    """A KV node as a process of its own, on fixed addresses."""

    def __init__(self, folder):
        self.data_dir, self.unix = folder / "data", str(folder / "s")
        self.kv = self.admin = "127.0.0.1:0"
        self.log = (folder / "log").open("w")
        self.process = None

    async def start(self):
        read_fd, write_fd = os.pipe()
        command = [sys.executable, "-m", "kvnode.main", "--data-dir", str(self.data_dir)]
        command += ["--unix", self.unix, "--kv", self.kv, "--admin", self.admin]
        self.process = subprocess.Popen(  # noqa: ASYNC220  it returns at once
            [*command, "--ready-fd", str(write_fd)], pass_fds=[write_fd], stderr=self.log
        )
        os.close(write_fd)
        with os.fdopen(read_fd) as pipe:
            async with asyncio.timeout(READY_S):
                line = await asyncio.to_thread(pipe.readline)
        ready = json.loads(line)
        self.kv, self.admin = ready["kv"], ready["admin"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(READY_S) == 0

    async def credential(self):
        token = (self.data_dir / "admin.token").read_text().strip()
        metadata = (("authorization", f"Bearer {token}"),)
        async with grpc.aio.insecure_channel(self.admin) as channel:
            admin = admin_pb2_grpc.TenantAdminStub(channel)
            create = admin_pb2.CreateTenantRequest(name="acme", user="u", scram_verifier="x")
            await admin.CreateTenant(create, metadata=metadata)
            ask = admin_pb2.GetLoginRequest(tenant="acme", user="u")
            return (await admin.GetLogin(ask, metadata=metadata)).credential


class Worker:
    """Adds one to its own row and leaves a receipt, over and over."""

    def __init__(self, number, client):
        self.row, self.client = b"row%d" % number, client
        self.acknowledged, self.ambiguous, self.failed = set(), set(), set()

    async def run(self, stop):
        while not stop.is_set():
            receipt = b"receipt" + secrets.token_bytes(12)
            sent = False
            try:
                got = await self.client.get(self.row)
                value = b"%d" % (int(got.value or b"0") + 1)
                sent = True
                await self.client.commit(
                    txn_id=secrets.token_bytes(16),
                    read_ts=got.read_ts,
                    catalog_version=0,
                    footprint=Footprint(keys=[self.row]),
                    writes={self.row: value, receipt: self.row},
                    absent_keys=[receipt],
                )
                self.acknowledged.add(receipt)
            except CommitAmbiguous:
                self.ambiguous.add(receipt)
            except KvError:
                if sent:
                    self.failed.add(receipt)
                await asyncio.sleep(0.01)


async def read_all(client, start=b"", end=b""):
    """Return the rows of a span at one snapshot."""
    rows, span, more, read_ts = {}, Span(start, end), True, 0
    while more:
        block = await client.scan(span, read_ts=read_ts)
        read_ts = block.read_ts
        rows.update(block.rows())
        more = block.more
        span = block.resume_span(span) if more else span
    return rows


@pytest.mark.parametrize("transport", ["unix", "grpc"])
async def test_killed_under_load(transport):
    """A commit that a client was told about is lost, torn or applied twice when the node dies."""
    with tempfile.TemporaryDirectory(prefix="insula-", ignore_cleanup_errors=True) as folder:
        node = NodeProcess(Path(folder))
        await node.start()
        try:
            await killing(node, transport)
        finally:
            if node.process.poll() is None:
                node.stop()
            node.log.close()
        log = (Path(folder) / "log").read_text()
        assert '"level": "ERROR"' not in log, log[-3000:]


async def killing(node, transport):
    address = f"unix:{node.unix}" if transport == "unix" else node.kv
    config = ClientConfig(connect_wait_s=10.0)
    credential = await node.credential()
    address = address if transport == "unix" else node.kv
    clients = [KvClient(address, config=config, clock=SystemClock()) for _ in range(2)]
    for client in clients:
        await client.connect()
        await client.authenticate(credential)
    workers = [Worker(number, clients[number % 2]) for number in range(WORKERS)]
    stop = asyncio.Event()
    tasks = [asyncio.ensure_future(worker.run(stop)) for worker in workers]
    for kill in range(KILLS):
        before = sum(len(worker.acknowledged) for worker in workers)
        await asyncio.sleep(0.1 + 0.01 * (kill % 20))
        node.kill()
        await node.start()
        async with asyncio.timeout(READY_S):
            while sum(len(w.acknowledged) for w in workers) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*tasks)
    rows = await read_all(clients[0])
    counts = [sum(len(s) for s in (w.acknowledged, w.ambiguous, w.failed)) for w in workers]
    acknowledged = sum(len(worker.acknowledged) for worker in workers)
    print(f"{KILLS} kills: {acknowledged} commits acknowledged of {sum(counts)}")
    for worker in workers:
        found = {key for key, value in rows.items() if value == worker.row}
        assert worker.acknowledged <= found, "an acknowledged commit is gone"
        assert not worker.failed & found, "a commit that was reported as failed is there"
        assert found <= worker.acknowledged | worker.ambiguous
        assert int(rows[worker.row]) == len(found), "a commit was torn or applied twice"
        assert len(worker.acknowledged) > KILLS
    for client in clients:
        await client.close()
