"""What holds bulk writes back, and for how long at most."""

from types import SimpleNamespace

import pytest

from kvnode.admission.bulk_queue import BulkQueue
from kvnode.admission.io_gate import ALONE_S, BULK_PAUSE_S_MAX, IoGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.write_account import WriteAccount
from kvnode.admission.write_gate import WriteBounds, WriteGate
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.group_commit import GroupCommit
from runtime.clock import ManualClock, WallCpuClock
from tests.unit.kvnode.test_group_commit import Put, StepWriter

FULL_S = 0.05


def never(_, __):
    raise AssertionError("nobody waits here")


class Time:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def full_disk(time, **options):
    """Return a gate that has seen slow batches for a minute."""
    gate = IoGate(time, never, latency_max_s=FULL_S, **options)
    while time.now_s < 60:
        gate.began(is_bulk=False)
        time.now_s += 4 * FULL_S
        gate.ended(1 << 20, 1 << 20)
    return gate


def test_bulk_is_never_held_for_long():
    """Commits that owe the disk all it can take would stop a large transaction for good."""
    time = Time()
    gate = full_disk(time)
    gate.began(is_bulk=True)
    gate.ended(1 << 30, 1 << 30)
    assert 0 < gate.bulk_wait_s() <= BULK_PAUSE_S_MAX
    time.now_s += BULK_PAUSE_S_MAX
    assert gate.bulk_wait_s() == 0.0


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_quick_disk_holds_nobody_back_nor_does_one_without_admission(is_enabled):
    """A switch that does not switch, or a bulk load at half of the speed of the disk."""
    time = Time()
    gate = (
        IoGate(time, never, latency_max_s=FULL_S)
        if is_enabled
        else full_disk(time, is_enabled=False)
    )
    gate.began(is_bulk=True)
    gate.ended(1 << 30, 1 << 30)
    assert gate.bulk_wait_s() == 0.0


class Timers(list):
    """Timers that are run by hand."""

    def call_later(self, wait_s, callback):
        timer = SimpleNamespace(wait_s=wait_s, run=callback)
        timer.cancel = lambda: self.remove(timer)
        self.append(timer)
        return timer


def test_bulk_that_is_held_goes_on_when_tokens_come_back():
    """After a commit that was refused, the disk stands idle for what it would have written."""
    time, timers = Time(), Timers()
    gate = full_disk(time)
    gate.saw_commit()
    gate._call_later = timers.call_later
    time.now_s += 10
    gate.began(is_bulk=True)
    given = gate.tokens.reserve(1 << 30, now_s=time.now_s)
    assert not gate.try_bulk(timers.clear)
    (timer,) = timers
    assert timer.wait_s > 0.1
    gate.tokens.settle(given, 0.0, now_s=time.now_s)
    gate.look()
    (timer,) = timers
    assert timer.wait_s == pytest.approx(0.001)


def test_bulk_alone_has_all_that_its_bytes_leave():
    """The only load on a slow disk is held to half of it, for commits that nobody makes."""
    time = Time()
    gate = full_disk(time)
    gate.saw_commit()
    gate.bulk_wait_s()
    beside = gate.tokens._tokens.rates[-1]
    assert beside == gate.tokens.limit / 2
    time.now_s += ALONE_S
    gate.bulk_wait_s()
    assert gate.tokens._tokens.rates[-1] == gate.tokens.regular_limit >= 2 * beside
    gate.saw_commit()
    assert gate.tokens._tokens.rates[-1] == gate.tokens.limit / 2, "at once"


class BulkPut(Put):
    is_bulk = True


class EndPut(Put):
    is_regular = False


def make_group(gate):
    engine, clock = MemoryEngine(), ManualClock()
    writer, cpu, bulk = StepWriter(engine), WallCpuClock(clock), BulkQueue()
    scheduler = Scheduler(None, clock, cpu, cores=1, quantum_s=0.001, is_enabled=True)
    writes = WriteGate(gate, scheduler, None, WriteBounds(1, 1, 1.0))
    group = GroupCommit(
        engine,
        writer,
        on_durable=lambda _: None,
        on_answered=lambda: None,
        release_snapshots=lambda: None,
        take_snapshot=lambda: None,
        gate=WriteAccount(gate, writes, scheduler, bulk),
        bulk=bulk,
    )
    return group, writer


def test_a_load_that_ends_is_nobodys_commit():
    """One load after the other: each COMMIT would hold the next load back for ten seconds."""
    seen = []
    gate = IoGate(Time(), never, latency_max_s=FULL_S)
    gate.saw_commit = lambda: seen.append(True)
    group, writer = make_group(gate)
    for operation in (BulkPut({}, b"chunk"), EndPut({}, b"its end")):
        group.submit(operation)
        writer.sync()
    assert not seen
    assert group.is_calm
    group.submit(Put({}, b"commit"))
    writer.sync()
    assert seen
    assert not group.is_calm


def test_commits_pass_bulk_that_is_held():
    """Held bulk would hold the commits behind it, or be forgotten."""
    timers, outcomes, time = Timers(), {}, Time()
    gate = full_disk(time)
    gate._call_later = timers.call_later
    gate.began(is_bulk=True)
    gate.ended(1 << 30, 1 << 30)
    group, writer = make_group(gate)
    group.submit(BulkPut(outcomes, b"bulk"))
    assert not writer.jobs
    assert not group.is_idle
    group.submit(Put(outcomes, b"a"))
    group.submit(Put(outcomes, b"b"))
    assert writer.sync() == [b"a"]
    assert writer.sync() == [b"b"]
    (timer,) = timers
    time.now_s += timer.wait_s
    timer.run()
    assert writer.sync() == [b"bulk"]
    assert group.is_idle
