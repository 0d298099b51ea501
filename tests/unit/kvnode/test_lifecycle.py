"""Tenants come and go while others act on them, and while operators lose patience."""

import asyncio

import msgspec
import pytest

from kvapi.errors import DiskFull, TenantUnknown
from kvapi.layout import role_key
from kvapi.pb import kv_pb2
from kvapi.role_record import encode_role
from kvnode.storage.engine import Table
from kvnode.tenants.lifecycle import TenantExists
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


def left_over(node):
    """Return the rows of all tenants, and the records of any."""
    tables = node.engine._tables
    rows = {table: tables[table].rows for table in Table if table is not Table.SYSTEM}
    records = [key for key in tables[Table.SYSTEM].rows if not key.startswith(b"m")]
    return [*records, *[table for table, found in rows.items() if found]]


async def cancelled(loop, coroutine):
    """Start an operator's request, and cancel it as soon as it waits."""
    task = loop.create_task(coroutine)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_creation_nobody_waits_for_still_takes_the_name():
    """An operator's retry would make two tenants of one name, one of them beyond reach."""

    async def body(loop):
        node = SimNode(loop)
        await cancelled(loop, node.lifecycle.create("acme", "owner", "x"))
        with pytest.raises(TenantExists):
            await node.lifecycle.create("acme", "owner", "x")
        await asyncio.sleep(1)
        with pytest.raises(TenantExists):
            await node.lifecycle.create("acme", "owner", "x")
        await node.lifecycle.drop("acme")
        assert left_over(node) == []

    run_virtual(body)


def test_a_drop_nobody_waits_for_goes_on():
    """The tenant would stay half removed, and its name taken, until the node restarts."""

    async def body(loop):
        node = SimNode(loop)
        await node.create("acme")
        await cancelled(loop, node.lifecycle.drop("acme"))
        with pytest.raises(TenantUnknown, match="being dropped"):
            await node.lifecycle.drop("acme")
        await asyncio.sleep(1)
        assert left_over(node) == []
        await node.create("acme")

    run_virtual(body)


def test_a_drop_that_failed_may_be_repeated():
    """A moment of a full disk would block the name until the node restarts."""

    async def body(loop):
        node = SimNode(loop)
        await node.create("acme")
        write, calls = node.core.write, []

        async def failing(tenant_id, work, **terms):
            calls.append(tenant_id)
            if len(calls) == 3:
                raise DiskFull("full")
            await write(tenant_id, work, **terms)

        node.core.write = failing
        with pytest.raises(DiskFull):
            await node.lifecycle.drop("acme")
        await node.lifecycle.drop("acme")
        assert left_over(node) == []

    run_virtual(body)


@pytest.mark.parametrize("turns", range(0, 12, 2))
def test_changes_during_a_drop_leave_nothing_and_let_nobody_in(turns):
    """A changed record would outlive its tenant, or open it again while it is removed."""

    async def body(loop):
        node = SimNode(loop, seed=turns)
        stream = node.stream(await node.create("acme"))
        writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v"])
        change = loop.create_task(node.lifecycle.change("acme", suspended=False, gc_ttl_s=50))
        await asyncio.sleep(turns * 0.0002)
        drop = loop.create_task(node.lifecycle.drop("acme"))
        others = []
        for _ in range(60):
            others.append(stream.request(commit=kv_pb2.Commit(writes=writes)))
            others.append(
                loop.create_task(node.lifecycle.change("acme", suspended=False, gc_ttl_s=90))
            )
            others.append(loop.create_task(node.lifecycle.set_password("acme", "owner", "y")))
            await asyncio.sleep(0.0002)
        await asyncio.gather(change, *others, return_exceptions=True)
        await drop
        assert left_over(node) == []

    run_virtual(body)


def test_a_new_password_does_not_undo_what_the_tenant_changes():
    """The operator's password would take back what ALTER ROLE did a moment before."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        tenant, stream = node.core.load_tenant(tenant_id), node.stream(tenant_id)
        role = node.lifecycle.find_role(tenant, "owner")
        changed = encode_role(msgspec.structs.replace(role, can_login=False))
        writes = kv_pb2.Writes(put_keys=[role_key("owner")], put_values=[changed])
        pending = stream.request(commit=kv_pb2.Commit(writes=writes))
        await node.lifecycle.set_password("acme", "owner", "new")
        await pending
        role = node.lifecycle.find_role(tenant, "owner")
        assert (role.can_login, role.scram_verifier) == (False, "new")

    run_virtual(body)
