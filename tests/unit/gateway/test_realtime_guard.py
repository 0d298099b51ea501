"""gateway.realtime_guard as a process, runtime.signal_tap, and a SQL process that is stuck in C."""

import asyncio
import logging
import os
import select
import signal
import socket
import subprocess
import sys

import pytest
import uvloop

from gateway.guard_process import GuardProcess
from gateway.realtime_guard import LOST, NOTICE, WATCHED, Guard
from runtime import os_priority
from runtime.clock import SystemClock
from runtime.signal_tap import tapped_signals

may_be_realtime = pytest.mark.skipif(
    not os_priority.may_run_realtime(os_priority.REALTIME_GUARD),
    reason="real-time takes CAP_SYS_NICE or RLIMIT_RTPRIO, and a second CPU",
)
STUCK = """
import asyncio, socket, sys
from runtime import os_priority
from runtime.signal_tap import tapped_signals

async def work():
    os_priority.limit_realtime()
    with tapped_signals(asyncio.get_running_loop()) as tap:
        with socket.socket(fileno=int(sys.argv[1])) as test:
            socket.send_fds(test, [b"tap"], [tap.fileno()])
            assert test.recv(9) == b"compute"
            sum(range(1 << 40))  # looks for no signal
asyncio.run(work())
"""


@pytest.fixture
def stuck():
    """Start a process, normal so far, that computes in C once told to; return it and its tap."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", STUCK, str(theirs.fileno())]
    with ours, theirs, subprocess.Popen(command, pass_fds=(theirs.fileno(),)) as process:
        ours.settimeout(10)
        _, (fd,), _, _ = socket.recv_fds(ours, 9, 1)
        process.compute = lambda: ours.send(b"compute")
        yield process, socket.socket(fileno=fd)
        process.kill()


def set_realtime(pid):
    os_priority.set_realtime(pid, os_priority.REALTIME_SQL, inherit=False)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.002)


@pytest.fixture
async def guard():
    """Return a guard at work."""
    guard = GuardProcess(SystemClock())
    await until(lambda: guard.is_at_work)
    yield guard
    guard.close()


async def watched(guard, stuck):
    """Return the process, under watch and real-time."""
    process, tap = stuck
    guard.watch(process.pid, tap)
    await until(lambda: guard.watches(process.pid))
    set_realtime(process.pid)
    return process


@may_be_realtime
async def test_a_long_call_into_c_ends_real_time(guard, stuck):
    """As many of those as there are CPUs would stop all tenants, and the gateway, for a second."""
    process = await watched(guard, stuck)
    process.compute()
    await until(lambda: not os_priority.is_realtime(process.pid))
    for _ in range(2):  # it is found again, though the call has not ended
        set_realtime(process.pid)
        began_s = os_priority.cpu_s(process.pid)
        await until(lambda: not os_priority.is_realtime(process.pid))
        assert os_priority.cpu_s(process.pid) - began_s < 0.2


@may_be_realtime
async def test_another_guard_watches_when_one_was_killed(guard, stuck, caplog):
    """Quiet tenants would wait for the kernel's tick until the gateway is started again."""
    process = await watched(guard, stuck)
    former_pid = guard.pid
    os.kill(former_pid, signal.SIGKILL)
    await until(lambda: not guard.watches(process.pid))
    assert not os_priority.is_realtime(process.pid), "nobody would end it"
    await until(lambda: guard.watches(process.pid))
    assert guard.pid != former_pid
    set_realtime(process.pid)
    process.compute()
    await until(lambda: not os_priority.is_realtime(process.pid))
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "realtime_off"
    ]


@may_be_realtime
async def test_the_guard_ends_real_time_with_the_gateway(guard, stuck):
    """Whom a new gateway cannot take in, for want of descriptors, would stay so, unwatched."""
    process = await watched(guard, stuck)
    guard.close()
    assert not os_priority.is_realtime(process.pid)


@may_be_realtime
async def test_a_process_whose_connection_ends_is_normal(guard, stuck):
    """It is no longer looked at; but one that has connected anew still is."""
    process, tap = stuck
    newer = tap.dup()
    guard.watch(process.pid, tap)
    guard.watch(process.pid, newer)
    await until(lambda: guard.watches(process.pid))
    set_realtime(process.pid)
    guard.forget(process.pid, tap)
    assert os_priority.is_realtime(process.pid)
    assert guard.watches(process.pid)
    guard.forget(process.pid, newer)
    assert not os_priority.is_realtime(process.pid)
    assert not guard.watches(process.pid)


@may_be_realtime
async def test_a_process_whose_tap_never_came_is_normal(guard, stuck):
    """A former gateway left it real-time, and its hello was cut off for want of descriptors."""
    process, tap = stuck
    tap.close()
    set_realtime(process.pid)
    guard.forget(process.pid, None)
    assert not os_priority.is_realtime(process.pid)


@may_be_realtime
async def test_a_tap_of_another_process_is_not_taken(guard, stuck):
    """A SQL process could make others normal, and the guard itself: what is no Unix socket is 0."""
    process, tap = stuck
    guard.watch(process.pid + 1, tap)
    guard.watch(process.pid, socket.socket())
    ours, theirs = socket.socketpair()
    with theirs:
        guard.watch(os.getpid(), ours)
        await until(lambda: guard.watches(os.getpid()))
    assert not guard.watches(process.pid)
    assert not guard.watches(process.pid + 1)


@pytest.fixture
def refusing(monkeypatch):
    """Return a guard that may not make processes normal, and the gateway's end."""

    def refuse(pid):
        raise PermissionError(f"not {pid}")

    monkeypatch.setattr(os_priority, "is_realtime", lambda pid: True)
    monkeypatch.setattr(os_priority, "end_realtime", refuse)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(5)
        guard = Guard(theirs)
        yield guard, ours
        for pid in list(guard._fds):
            guard._drop(pid)


def test_a_process_that_is_out_of_reach_does_not_end_the_guard(refusing):
    """One process would end real-time of all; and said each time, the log would be full of it."""
    guard, gateway = refusing
    tap, other_end = socket.socketpair()
    with tap, other_end:
        for _ in range(3):
            guard._end_realtime(tap)
    assert gateway.recv(99).startswith(NOTICE)
    gateway.setblocking(False)
    with pytest.raises(BlockingIOError):
        gateway.recv(99)


def test_each_tap_is_answered_one_that_gets_lost_too(refusing):
    """Its process would be real-time, and nobody there to end that."""
    guard, gateway = refusing
    tap, other_end = socket.socketpair()
    gateway.send(b"tap")  # the kernel cuts descriptors off where there is no room for them
    assert guard._serve()
    assert gateway.recv(99) == LOST
    with tap, other_end:
        for _ in range(3):  # it connects anew
            socket.send_fds(gateway, [b"tap"], [tap.fileno()])
            assert guard._serve()
            assert gateway.recv(99) == WATCHED
        assert len(guard._taps) == 1
        gateway.shutdown(socket.SHUT_WR)
        guard.run()
    assert gateway.recv(99).startswith(NOTICE), "it ends real-time of whom it watched"


def test_a_tap_shows_signals_and_keeps_none():
    """SIGTERM would no longer end a SQL process."""

    async def live():
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, seen.set)
        for _ in range(2):  # and without the tap again
            with tapped_signals(loop) as tap, tap.dup() as copy, select.epoll() as outside:
                outside.register(copy, select.EPOLLIN | select.EPOLLET)
                for _ in range(2):
                    assert not outside.poll(0)
                    signal.raise_signal(signal.SIGUSR1)
                    assert outside.poll(0), "it is there before the loop turns"
                    await asyncio.wait_for(seen.wait(), 5)
                    seen.clear()
            signal.raise_signal(signal.SIGUSR1)
            await asyncio.wait_for(seen.wait(), 5)
            seen.clear()
        loop.remove_signal_handler(signal.SIGUSR1)

    for factory in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(live())
