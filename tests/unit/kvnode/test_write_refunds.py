"""Write tokens of what came to nothing, and what a write leaves behind at the gate."""

import weakref
from types import SimpleNamespace

import pytest

from admission.io_tokens import IoSample
from admission.queue import Priority
from kvnode.admission.io_gate import IoGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.write_gate import WriteBounds, WriteGate, WriteTicket
from runtime.clock import ManualClock, WallCpuClock

MIB = 1 << 20
MEMORY_S = 5.0  # of the queue


class Gate:
    """The gate before a slow disk, with timers that are run by hand."""

    def __init__(self):
        self.clock, self.timers = ManualClock(100.0), []
        cpu = WallCpuClock(ManualClock())
        scheduler = Scheduler(None, self.clock, cpu, cores=1, quantum_s=0.001, is_enabled=True)
        io = IoGate(self.clock.monotonic_s, self.call_later, latency_max_s=0.02)
        self.tokens = io.tokens
        for number in range(1, 9):
            sample = IoSample()
            sample.add(latency_s=1.0, size_bytes=MIB, pages=256)
            io.tokens.refit(sample, now_s=100.0 + number)
        self.clock.advance(10)
        bounds = WriteBounds(100, 64 * MIB, 30.0)
        self.writes = WriteGate(io, scheduler, self.call_later, bounds)
        io.on_refit()
        assert not self.writes.is_open

    def call_later(self, wait_s, callback):
        timer = SimpleNamespace(
            due_s=self.clock.monotonic_s() + wait_s, run=callback, is_cancelled=False
        )
        timer.cancel = lambda: setattr(timer, "is_cancelled", True)
        self.timers.append(timer)
        return timer

    def wait(self, seconds):
        end_s = self.clock.monotonic_s() + seconds
        while due := [t for t in self.timers if not t.is_cancelled and t.due_s <= end_s]:
            timer = min(due, key=lambda timer: timer.due_s)
            self.timers.remove(timer)
            self.clock.advance(max(0.0, timer.due_s - self.clock.monotonic_s()))
            timer.run()
        self.clock.advance(end_s - self.clock.monotonic_s())

    def ask(self, tenant_id, size_bytes=MIB, go=lambda: None, priority=Priority.NORMAL):
        ticket = WriteTicket(
            tenant_id=tenant_id,
            size_bytes=size_bytes,
            txn_start=0,
            go=go,
            fail=pytest.fail,
            priority=priority,
        )
        return ticket, self.writes.try_pass(ticket)

    def use(self, tenant_id):
        """What counts against a tenant now."""
        now_s = self.clock.monotonic_s()
        return self.writes.queue.use_per_s(tenant_id, now_s=now_s) * MEMORY_S


def test_a_late_refund_takes_no_more_than_was_left():
    """Who lets commits fail after a long wait for a lock goes before those who write."""
    gate = Gate()
    failing, _ = gate.ask(1)
    gate.clock.advance(4)
    written, has_passed = gate.ask(1)
    assert has_passed
    gate.writes.give_back(failing)
    assert gate.use(1) == pytest.approx(written.taken.tokens)
    gate.writes.give_back(written)
    assert gate.use(1) == pytest.approx(0, abs=1)


def test_what_the_writer_refused_is_given_back():
    """A full disk takes no bytes, and who tried is behind all others for that."""
    gate = Gate()
    before = gate.tokens._tokens.taken
    ticket, _ = gate.ask(1)
    assert gate.tokens._tokens.taken > before
    operation = SimpleNamespace(tenant_id=1, size_bytes=MIB, taken=ticket.hand_over())
    gate.writes.failed([operation])
    assert gate.tokens._tokens.taken == pytest.approx(before)
    assert gate.use(1) == pytest.approx(0, abs=1)


def test_a_write_that_is_done_is_let_go_of():
    """Its rows stay in memory as long as an older write waits, or until hundreds have waited."""
    gate, passed = Gate(), []
    gate.ask(2)
    gate.ask(1, 64 * MIB)
    older = [gate.ask(1) for _ in range(3)]

    def ask():
        def go():
            passed.append(True)

        ticket, has_passed = gate.ask(1, go=go, priority=Priority.LOCK_HOLDER)
        assert not has_passed
        return ticket, weakref.ref(go)

    (done, seen), (cancelled, gone) = ask(), ask()
    assert gate.writes.cancel(cancelled)
    gate.wait(0.6)
    assert passed
    assert gate.writes.queue.waiting(1) == len(older)
    del done, cancelled
    assert seen() is None
    assert gone() is None


def test_tokens_that_come_back_let_the_next_go_on():
    """After a write that was taken for much more than it was, the disk stands idle."""
    gate, passed = Gate(), []
    gate.ask(2)
    large, has_passed = gate.ask(1, 64 * MIB)
    assert has_passed
    assert large.taken.tokens == gate.tokens.regular_limit / 2, "no more than may be owed"
    _, has_passed = gate.ask(1, go=lambda: passed.append(True))
    assert not has_passed
    gate.wait(0.1)
    assert not passed
    gate.writes.give_back(large)
    gate.wait(0.002)
    assert passed


def test_a_flood_has_used_what_it_wrote():
    """Who writes most counts as who wrote nothing, and passes before those who wait."""
    gate = Gate()
    gate.ask(2)
    for _ in range(20):
        ticket, _ = gate.ask(1)
        gate.clock.advance(1)
        taken = ticket.hand_over()
        if taken is None:
            gate.wait(1)
            taken = ticket.hand_over()
        written = SimpleNamespace(tenant_id=1, size_bytes=MIB, taken=taken)
        gate.writes.ended([written], MIB // 4, MIB)
    assert gate.use(1) == pytest.approx(MIB / 4 / (1 - 2.718 ** (-1 / MEMORY_S)), rel=0.5)
