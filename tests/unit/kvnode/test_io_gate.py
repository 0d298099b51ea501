"""What holds bulk writes back, and for how long at most."""

import pytest

from kvnode.admission.io_gate import BULK_PAUSE_S_MAX, IoGate
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


class BulkPut(Put):
    is_bulk = True


def test_commits_pass_bulk_that_is_held():
    """Held bulk would hold the commits behind it, or be forgotten."""
    engine, timers, outcomes, time = MemoryEngine(), [], {}, Time()
    gate = full_disk(time)
    gate._call_later = lambda wait_s, callback: timers.append((wait_s, callback))
    gate.began(is_bulk=True)
    gate.ended(1 << 30, 1 << 30)
    writer, clock = StepWriter(engine), ManualClock()
    cpu = WallCpuClock(clock)
    scheduler = Scheduler(None, clock, cpu, cores=1, quantum_s=0.001, is_enabled=True)
    writes = WriteGate(gate, scheduler, None, WriteBounds(1, 1, 1.0))
    group = GroupCommit(
        engine,
        writer,
        on_durable=lambda _: None,
        release_snapshots=lambda: None,
        take_snapshot=lambda: None,
        gate=WriteAccount(gate, writes, scheduler),
    )
    group.submit(BulkPut(outcomes, b"bulk"))
    assert not writer.jobs
    assert not group.is_idle
    group.submit(Put(outcomes, b"a"))
    group.submit(Put(outcomes, b"b"))
    assert writer.sync() == [b"a"]
    assert writer.sync() == [b"b"]
    ((wait_s, callback),) = timers
    time.now_s += wait_s
    callback()
    assert writer.sync() == [b"bulk"]
    assert group.is_idle
