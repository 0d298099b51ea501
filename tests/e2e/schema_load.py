"""Writers that keep a table busy while its schema changes, and the comparison afterwards."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import grpc

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.pb import admin_pb2, admin_pb2_grpc
from runtime.clock import SystemClock
from sqlnode.catalog.store import load_catalog
from sqlnode.jobs.index_check import check_indexes
from tests.e2e.stack import ROOT, USER, wait_until

# Two sessions for each SQL process: four sessions are on two of them at least.
SPREAD = """
[pool]
sessions_per_process = 2
processes_per_tenant_max = 4
"""
READY_S_MAX = 30
READY_WRITES = 50


class Writer(threading.Thread):
    """Follows a client of writer_process.py: `times` are (begun, ended) of its writes so far."""

    def __init__(self, kind, url="", *, seed=0, row_count=0):
        super().__init__(name=f"{kind}-{seed}")
        words = ["-P", "-m", "tests.e2e.writer_process", kind, url, str(seed), str(row_count)]
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.times, self.errors = [], []
        self.start()

    @property
    def latencies_s(self):
        return [ended_s - begun_s for begun_s, ended_s in self.times]

    def run(self):
        for line in self.process.stdout:
            begun_s, ended_s, error = json.loads(line)
            self.times.append((begun_s, ended_s))
            if error is not None:
                self.errors.append(error)

    def end(self):
        """Let the process end, and wait for its last words."""
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            self.join(10)
            self.process.stdout.close()

    def during(self, begun_s, ended_s):
        """Return the writes of a stretch of time."""
        return [(b, e) for b, e in self.times if e >= begun_s and b <= ended_s]


@contextmanager
def writing(stack, *, row_count, writers=4, tenant="acme"):
    """Keep writers of t busy for the length of the block; yields them."""
    url = stack.url(tenant)
    made = [Writer("table", url, seed=n, row_count=row_count) for n in range(writers)]
    with running(made):
        yield made


@contextmanager
def running(writers):
    """Wait until writers are under way; they end with the block."""
    try:
        wait_until(
            lambda: all(len(writer.times) >= READY_WRITES for writer in writers),
            READY_S_MAX,
            "writers at work",
        )
        yield
    finally:
        for writer in writers:
            writer.process.stdin.close()
        for writer in writers:
            writer.end()


def fill(connection, row_count):
    """Make t(id, a, b) with rows."""
    connection.execute("create table t (id int primary key, a int, b text)")
    for start in range(0, row_count, 20_000):
        end = min(start + 20_000, row_count)
        connection.execute(
            f"insert into t select g, g * 7 % 100003, 'text ' || g from generate_series({start}, "
            f"{end - 1}) g"
        )


def index_reports(stack, table="t", tenant="acme"):
    """Compare every index of a table with its rows, in the store itself."""

    async def check():
        client = KvClient(stack.record["kv"], config=ClientConfig(), clock=SystemClock())
        try:
            await client.authenticate(await asyncio.to_thread(credential, stack, tenant))
            catalog = await load_catalog(client)
            (desc,) = (found for found in catalog.tables() if found.name == table)
            assert not desc.building
            return await check_indexes(client, desc)
        finally:
            await client.close()

    return asyncio.run(check())


def credential(stack, tenant):
    """Return a credential of the tenant, as the gateway gets one."""
    metadata = (("authorization", f"Bearer {stack.running.admin_token}"),)
    with grpc.insecure_channel(stack.record["admin"]) as channel:
        ask = admin_pb2.GetLoginRequest(tenant=tenant, user=USER)
        return admin_pb2_grpc.TenantAdminStub(channel).GetLogin(ask, metadata=metadata).credential


def jobs(connection):
    """Return SHOW JOBS, newest first, as dicts."""
    cursor = connection.execute("show jobs")
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
