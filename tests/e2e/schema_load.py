"""Writers that keep a table busy while its schema changes, and the comparison afterwards."""

import asyncio
import random
import threading
import time
from contextlib import contextmanager

import grpc
import psycopg

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.pb import admin_pb2, admin_pb2_grpc
from runtime.clock import SystemClock
from sqlnode.catalog.store import load_catalog
from sqlnode.jobs.index_check import check_indexes
from tests.e2e.stack import USER

# Two sessions for each SQL process: four sessions are on two of them at least.
SPREAD = """
[pool]
sessions_per_process = 2
processes_per_tenant_max = 4
"""


class Writer(threading.Thread):
    """One connection that inserts, updates and deletes rows of t, and takes the time of each."""

    def __init__(self, connection, seed, row_count):
        super().__init__(name=f"writer-{seed}")
        self.connection, self.rng, self.row_count = connection, random.Random(seed), row_count
        self.next_id = 10_000_000 * (seed + 1)
        self.stopping = threading.Event()
        self.latencies_s, self.errors = [], []

    def run(self):
        while not self.stopping.is_set():
            begun_s = time.monotonic()
            try:
                self.write()
            except psycopg.Error as error:
                self.errors.append((error.sqlstate, str(error)))
                if self.connection.closed:
                    return
            self.latencies_s.append(time.monotonic() - begun_s)

    def write(self):
        rng, execute = self.rng, self.connection.execute
        some_id, value = rng.randrange(self.row_count), rng.randrange(1 << 30)
        kind = rng.randrange(6)
        if kind == 0:
            self.next_id += 1
            execute("insert into t values (%s, %s, %s)", (self.next_id, value, "new"))
        elif kind == 1:
            execute("delete from t where id = %s", (some_id,))
        elif kind == 2:
            execute("update t set b = %s where id = %s", (f"b{value}", some_id))
        elif kind == 3:  # one hot row
            execute("update t set a = %s where id = 7", (value,))
        elif kind == 4:
            with self.connection.transaction():
                execute("update t set a = %s where id = %s", (value, some_id))
                self.next_id += 1
                execute("insert into t values (%s, %s, null)", (self.next_id, value))
        else:
            execute("update t set a = %s where id = %s", (value, some_id))


@contextmanager
def writing(stack, *, row_count, writers=4, tenant="acme"):
    """Keep writers busy for the length of the block; yields them."""
    threads = [Writer(stack.connect(tenant), n, row_count) for n in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(60)
            thread.connection.close()


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
