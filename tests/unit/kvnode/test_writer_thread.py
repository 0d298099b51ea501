"""kvnode.txn.writer_thread: what ends it ends the process."""

import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest

from kvnode.storage.engine import Table
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.group_commit import GaveWay
from kvnode.txn.writer_thread import WriterThread
from runtime import os_priority

DYING = """
import asyncio
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.writer_thread import WriterThread
from runtime.logging import configure_logging

class Broken(BaseException):
    pass

class BrokenStore(MemoryEngine):
    def write(self, **options):
        raise Broken("on purpose")

async def wait():
    configure_logging("kvnode")
    writer = WriterThread(BrokenStore(), asyncio.get_running_loop())
    answer = asyncio.Event()
    writer.run([], lambda *_: answer.set())
    await answer.wait()

asyncio.run(wait())
"""


def test_a_writer_that_dies_ends_the_node():
    """Every commit would wait for ever, of a node that says that it is well."""
    command = [sys.executable, "-c", DYING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 3
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert (line["level"], line["event"]) == ("CRITICAL", "writer_died")
    assert "on purpose" in json.dumps(line)


class Seen:
    """An operation that sees who writes it."""

    tenant_id = size_bytes = 0
    cpu_s = 0.0

    def __init__(self, *, is_bulk=False):
        self.is_bulk = is_bulk
        self.may_go_on = threading.Event()
        self.is_at_work = threading.Event()

    def apply(self, txn):
        self.thread, self.before = threading.get_native_id(), priority(0)
        self.is_at_work.set()
        assert self.may_go_on.wait(10)
        txn.put(Table.LIVE, b"k", b"v")
        self.after = priority(0)


def priority(thread):
    return os.sched_getparam(thread).sched_priority


async def outcome(writer, operation, meanwhile=lambda: None):
    """Have it written; return what came of it."""
    done = asyncio.get_running_loop().create_future()
    writer.run([operation], lambda outcome, _: done.set_result(outcome))
    assert await asyncio.to_thread(operation.is_at_work.wait, 10)
    meanwhile()
    operation.may_go_on.set()
    return await asyncio.wait_for(done, 10)


async def written(writer, operation, meanwhile=lambda: None):
    """Have it written; return the writer's priority at the begin and the end."""
    assert await outcome(writer, operation, meanwhile) == [None]
    return operation.before, operation.after


def hurried(writer, *, may_give_up=False):
    return lambda: writer.hurry(may_give_up=may_give_up)


def test_a_batch_is_given_up_before_its_sync():
    """A commit would wait for a sync more; or a batch told to end has left half of itself."""

    async def see():
        engine = MemoryEngine()
        writer = WriterThread(engine, asyncio.get_running_loop())
        try:
            load, again = Seen(is_bulk=True), Seen(is_bulk=True)
            given_up = await outcome(writer, load, hurried(writer, may_give_up=True))
            assert isinstance(given_up, GaveWay)
            assert engine.snapshot().get(Table.LIVE, b"k") is None
            assert await outcome(writer, again) == [None], "told once"
            assert engine.snapshot().get(Table.LIVE, b"k") == b"v"
        finally:
            writer.stop()

    asyncio.run(see())


@pytest.mark.skipif(
    not os_priority.may_run_realtime(os_priority.REALTIME_SERVICE),
    reason="real-time takes CAP_SYS_NICE or RLIMIT_RTPRIO, and a second CPU",
)
def test_a_writer_of_bulk_stands_back_until_a_commit_waits():
    """A load's batches would keep a quiet tenant's process from the CPU, a millisecond each.

    Without the hurry the commit behind such a batch would wait for that process in turn.
    """
    commit, bulk = os_priority.REALTIME_WRITER, os_priority.REALTIME_BULK

    async def see():
        writer = WriterThread(MemoryEngine(), asyncio.get_running_loop())
        try:
            assert await written(writer, Seen()) == (commit, commit)
            assert await written(writer, Seen(is_bulk=True)) == (bulk, bulk)
            load = Seen(is_bulk=True)
            assert await written(writer, load, meanwhile=hurried(writer)) == (bulk, commit)
            assert await written(writer, Seen(is_bulk=True)) == (bulk, bulk)
        finally:
            writer.stop()

    def as_the_node():
        os_priority.set_realtime(0, os_priority.REALTIME_SERVICE, inherit=True)
        try:
            asyncio.run(see())
        except BaseException as error:
            failed.append(error)

    failed = []
    loop = threading.Thread(target=as_the_node)
    loop.start()
    loop.join(30)
    assert not failed, failed[0]
    assert bulk < os_priority.REALTIME_SQL < commit < os_priority.REALTIME_SERVICE


def test_a_normal_writer_stays_normal():
    """With `[kvnode] realtime = false` it would be above all else."""

    async def see():
        writer = WriterThread(MemoryEngine(), asyncio.get_running_loop())
        try:
            assert await written(writer, Seen(is_bulk=True), meanwhile=hurried(writer)) == (0, 0)
        finally:
            writer.stop()

    asyncio.run(see())


def test_a_writer_whose_priority_is_kept_from_it_writes_on(monkeypatch):
    """Every commit would wait for ever if the right to be real-time were taken from the node."""
    asked = []

    def refuse(thread, priority, *, inherit):
        asked.append(priority)
        raise PermissionError("on purpose")

    monkeypatch.setattr(os_priority, "is_realtime", lambda _: True)
    monkeypatch.setattr(os_priority, "set_realtime", refuse)

    async def see():
        writer = WriterThread(MemoryEngine(), asyncio.get_running_loop())
        try:
            for is_bulk in (True, False):
                await written(writer, Seen(is_bulk=is_bulk), meanwhile=hurried(writer))
        finally:
            writer.stop()

    asyncio.run(see())
    assert asked == [os_priority.REALTIME_BULK]  # it is said once
