"""The zygote as a program: what it forks, and when it refuses to."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runtime.address import listen_unix
from runtime.control_wire import (
    Exited,
    Fork,
    Forked,
    ForkRefused,
    SqlHello,
    ZygoteHello,
    decode,
    encode,
    receive_packet,
    send_packet,
)
from runtime.os_process import parent_pid
from sqlnode.process_config import SqlProcessConfig
from tests.e2e.stack import ROOT, wait_until

pytestmark = pytest.mark.e2e

PROGRAM = """
import sys
{before}
from tests.fakes.echo_zygote import EchoServing
from sqlnode.zygote import run_zygote
run_zygote(sys.argv[1:], EchoServing)
"""
THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
GATEWAY_ENDS_BEFORE_THE_FIRST_HELLO = """
import socket
from runtime import control_channel
connect = control_channel.connect_control
def connect_once_in_vain(path):
    control_channel.connect_control = connect
    sock = connect(path)
    sock.shutdown(socket.SHUT_RDWR)
    sys.modules["sqlnode.zygote"].connect_control = connect
    return sock
control_channel.connect_control = connect_once_in_vain
"""


class Gateway:
    """The control socket and its peers, blocking."""

    def __init__(self, folder):
        self.path = folder / "control.sock"
        self.listener = listen_unix(str(self.path), kind=socket.SOCK_SEQPACKET)
        self.listener.settimeout(30)

    def accept(self):
        sock, _ = self.listener.accept()
        sock.settimeout(30)
        return sock, self.receive(sock)

    @staticmethod
    def receive(sock):
        packet, fds = receive_packet(sock)
        for fd in fds:
            os.close(fd)
        message = decode(packet) if packet else None
        assert len(fds) == isinstance(message, SqlHello), "its signal tap"
        return message


@contextlib.contextmanager
def zygote(before="", **environment):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gateway = Gateway(folder)
        stack.enter_context(gateway.listener)
        lifeline, write_end = os.pipe()
        program = PROGRAM.format(before=before)
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--control", str(gateway.path), "--kv", "unix:/x"],
            cwd=ROOT,
            env={**os.environ, **environment, "INSULA_LIFELINE_FD": str(lifeline)},
            pass_fds=(lifeline,),
            stderr=subprocess.PIPE,
        )
        os.close(lifeline)
        try:
            yield gateway, process
        finally:
            os.close(write_end)  # the zygote and all its children end
            process.communicate(timeout=20)


def test_children_are_generic_and_their_ends_are_told():
    """A crash of a SQL process would go unseen."""
    with zygote() as (gateway, process):
        sock, hello = gateway.accept()
        assert hello == ZygoteHello(pid=process.pid)
        send_packet(sock, encode(Fork(count=3)))
        forked = gateway.receive(sock)
        assert isinstance(forked, Forked)
        children = [gateway.accept() for _ in range(3)]
        nice = min(os.getpriority(os.PRIO_PROCESS, 0) + SqlProcessConfig().nice, 19)
        expected = {SqlHello(pid=pid, nice=nice) for pid in forked.pids}
        assert {said for _, said in children} == expected
        assert all(parent_pid(pid) == process.pid for pid in forked.pids)
        _check_limits(forked.pids[0], process.pid)
        os.kill(forked.pids[0], signal.SIGKILL)
        assert gateway.receive(sock) == Exited(pid=forked.pids[0], status=-9)
        for peer, _ in children:
            peer.close()
        sock.close()


def _check_limits(pid, zygote_pid):
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "500"
    assert Path(f"/proc/{pid}/cmdline").read_text().startswith("insula sqlnode: generic")
    niceness = [
        Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()[16]
        for p in (pid, zygote_pid)
    ]
    assert int(niceness[0]) == int(niceness[1]) + 5
    assert not _sockets(pid) & _sockets(zygote_pid)


def _sockets(pid):
    fds = Path(f"/proc/{pid}/fd")
    return {name for fd in os.listdir(fds) if (name := os.readlink(fds / fd)).startswith("socket:")}


def test_it_refuses_to_fork_with_a_second_thread():
    """A child forked beside a thread hangs on a lock that nobody will ever release."""
    with zygote(before=THREAD) as (gateway, process):
        sock, _ = gateway.accept()
        send_packet(sock, encode(Fork(count=2)))
        assert gateway.receive(sock) == ForkRefused(count=2, reason="2 threads")
        assert gateway.receive(sock) is None
        sock.close()
        again, hello = gateway.accept()
        assert hello == ZygoteHello(pid=process.pid)  # the same process, executed afresh
        again.close()


def test_it_starts_afresh_after_many_forks_and_keeps_its_children():
    """All SQL processes of a host's life would share one memory layout."""
    limit = {"INSULA_SQLNODE__FORKS_PER_ZYGOTE_MAX": "2"}
    with zygote(**limit) as (gateway, process):
        sock, _ = gateway.accept()
        send_packet(sock, encode(Fork(count=2)))
        forked = gateway.receive(sock)
        peers = [gateway.accept() for _ in range(3)]
        assert ZygoteHello(pid=process.pid) in [said for _, said in peers]
        (new,) = [peer for peer, said in peers if isinstance(said, ZygoteHello)]
        os.kill(forked.pids[1], signal.SIGKILL)
        assert gateway.receive(new) == Exited(pid=forked.pids[1], status=-9)
        for peer, _ in peers:
            peer.close()
        sock.close()


def test_a_gateway_that_ends_before_the_hello_is_tried_again():
    """A gateway that dies at the wrong moment would take the zygote, and its children, with it."""
    with zygote(before=GATEWAY_ENDS_BEFORE_THE_FIRST_HELLO) as (gateway, process):
        cut_off, hello = gateway.accept()
        assert hello is None
        sock, hello = gateway.accept()
        assert hello == ZygoteHello(pid=process.pid)
        cut_off.close()
        sock.close()


def test_everything_ends_with_the_lifeline():
    """SQL processes would outlive a killed supervisor."""
    with zygote() as (gateway, process):
        sock, _ = gateway.accept()
        send_packet(sock, encode(Fork(count=2)))
        pids = gateway.receive(sock).pids
        peers = [gateway.accept()[0] for _ in pids]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10, "children end")
    assert process.returncode == 0
    for peer in (*peers, sock):
        peer.close()
