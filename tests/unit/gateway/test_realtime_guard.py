"""gateway.realtime_guard as a process, runtime.signal_tap, and a SQL process that is stuck in C."""

import asyncio
import select
import signal
import socket
import subprocess
import sys

import pytest
import uvloop

from gateway.guard_process import GuardProcess
from gateway.realtime_guard import NOTICE, Guard
from runtime import os_priority
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


def start_stuck(fd):
    return subprocess.Popen([sys.executable, "-c", STUCK, str(fd)], pass_fds=(fd,))


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.002)


@pytest.fixture
async def guard():
    """Return a guard at work."""
    guard = GuardProcess()
    await until(lambda: guard.is_watching)
    yield guard
    guard.close()


@may_be_realtime
async def test_a_long_call_into_c_ends_real_time(guard):
    """As many of those as there are CPUs would stop all tenants, and the gateway, for a second."""
    ours, theirs = socket.socketpair()
    with ours, theirs, start_stuck(theirs.fileno()) as stuck:
        _, (fd,), _, _ = socket.recv_fds(ours, 9, 1)
        guard.watch(socket.socket(fileno=fd))
        os_priority.set_realtime(stuck.pid, os_priority.REALTIME_SQL, inherit=False)
        ours.send(b"compute")
        try:
            await until(lambda: not os_priority.is_realtime(stuck.pid))
            for _ in range(2):  # it is found again, though the call has not ended
                os_priority.set_realtime(stuck.pid, os_priority.REALTIME_SQL, inherit=False)
                began_s = os_priority.cpu_s(stuck.pid)
                await until(lambda: not os_priority.is_realtime(stuck.pid))
                assert os_priority.cpu_s(stuck.pid) - began_s < 0.2
        finally:
            stuck.kill()


@may_be_realtime
async def test_the_end_of_the_guard_is_seen(guard):
    """Real-time would go on without it."""
    guard._process.kill()
    await until(lambda: guard.ended_for)
    assert not guard.is_watching
    left, right = socket.socketpair()
    with right:
        guard.watch(left)
        assert right.recv(1) == b"", "nobody watches"


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
        yield Guard(theirs), ours


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


def test_a_tap_that_gets_lost_ends_the_guard(refusing):
    """Its process would be real-time, and nobody there to end that."""
    guard, gateway = refusing
    gateway.send(b"tap")  # the kernel cuts descriptors off where there is no room for them
    guard.run()
    assert b"cut off" in gateway.recv(99)


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
