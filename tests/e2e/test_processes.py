"""Supervisor, KV node, gateway, zygote and pool as real processes; sessions are fakes."""

import json
import os
import signal
import socket
import struct
import threading
import time

import psycopg
import pytest

from runtime.os_process import is_running
from tests.e2e.stack import KILL_EVENTS, PASSWORD, FakeStack, wait_until

pytestmark = pytest.mark.e2e


def ask(connection, words):
    return connection.execute(words).fetchone()[0]


def test_a_session_reaches_its_own_tenant(fake_stack):
    """Two tenants in one process would see each other's data."""
    with fake_stack.connect("acme") as acme, fake_stack.connect("globex") as globex:
        assert (ask(acme, "select tenant"), ask(globex, "select tenant")) == ("acme", "globex")
        assert ask(acme, "select pid") != ask(globex, "select pid")


def test_every_way_to_name_the_tenant(fake_stack):
    """Connection strings that the documentation promises would not connect."""
    where = {"host": "127.0.0.1", "port": fake_stack.running.pg_port, "password": PASSWORD}
    for words in (
        {"user": "app", "dbname": "acme.shop"},
        {"user": "acme.app", "dbname": "shop"},
        {"user": "app", "dbname": "shop", "options": "--cluster=acme"},
        {"user": "app", "dbname": "shop", "options": "-c tenant=acme -c work_mem=1MB"},
        {"user": "app", "dbname": "shop", "options": "endpoint=acme"},
    ):
        with psycopg.connect(**where, **words, autocommit=True) as connection:
            assert ask(connection, "select tenant") == "acme"
            assert ask(connection, "select database") == "shop"
            assert ask(connection, "select user") == "app"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            {"user": "app", "dbname": "acme.x", "options": "--tenant=globex"},
            "08004",
            "more than one",
        ),
        ({"user": "app", "dbname": "x"}, "08004", "does not name a tenant"),
        ({"user": "app", "dbname": "acme.x", "password": "wrong"}, "28P01", "password"),
        ({"user": "nobody", "dbname": "acme.x"}, "28P01", "password"),
        ({"user": "app", "dbname": "nowhere.x"}, "28P01", "password"),
    ],
)
def test_refusals_are_clear(fake_stack, words, code, text):
    """A client that cannot get in must learn why, and an attacker must not learn who exists."""
    where = {"host": "127.0.0.1", "port": fake_stack.running.pg_port, "password": PASSWORD}
    with pytest.raises(psycopg.OperationalError, match=text):
        psycopg.connect(**{**where, **words})
    # psycopg does not give the code of a failed connect; the metric counts it.
    assert f'insula_gateway_refused_total{{sqlstate="{code}"}}' in fake_stack.http("/metrics")[1]


def test_guessing_is_slowed_down_and_locks_out_nobody_else(fake_stack):
    """Passwords could be tried without end, or one client would lock out its whole building."""
    fake_stack.create_tenant("guessed")
    words = {"password": "wrong", "user": "nobody"}
    _guess_until_refused(fake_stack, words, tries=80)
    with fake_stack.connect("guessed") as connection:
        assert ask(connection, "select tenant") == "guessed"
    _guess_until_refused(fake_stack, words, tries=3)  # a little was forgotten meanwhile


def _guess_until_refused(fake_stack, words, *, tries):
    seen = []
    while not seen or "too many failed logins" not in seen[-1]:
        assert len(seen) < tries, seen[-1]
        with pytest.raises(psycopg.OperationalError) as refused:
            fake_stack.connect("guessed", **words)
        seen.append(str(refused.value))


def test_the_operator_needs_no_password(fake_stack):
    """`insula sql` would ask for a tenant's password."""
    with fake_stack.operator_connect("acme") as connection:
        assert ask(connection, "select tenant") == "acme"
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        fake_stack.operator_connect("nowhere")


def test_cancel_reaches_the_right_session(fake_stack):
    """Ctrl-C in psql would do nothing, or cancel somebody else's statement."""
    with fake_stack.connect("acme") as connection, fake_stack.connect("acme") as other:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select sleep")
        timer.join()
        assert ask(other, "select tenant") == "acme"


def test_a_crashed_process_takes_only_its_sessions(fake_stack):
    """One tenant's crash would end another tenant's sessions."""
    with fake_stack.connect("acme") as acme, fake_stack.connect("globex") as globex:
        fake_stack.kill(int(ask(acme, "select pid")))
        with pytest.raises(psycopg.OperationalError):
            ask(acme, "select tenant")
        started_s = time.monotonic()
        with fake_stack.connect("acme") as again:
            assert ask(again, "select tenant") == "acme"
        assert time.monotonic() - started_s < 1.0
        assert ask(globex, "select tenant") == "globex"


def test_a_process_that_dies_at_hand_over_is_replaced(fake_stack):
    """The client of a process that dies just then would be cut off without a word."""
    fake_stack.create_tenant("handed")
    frozen = [p["pid"] for p in fake_stack.processes() if p.get("state") == "warm"]
    assert frozen
    fake_stack.expect_log(*KILL_EVENTS)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    answers = []

    def connect():
        with fake_stack.connect("handed") as connection:
            answers.append(ask(connection, "select tenant"))

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert not answers
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    assert answers == ["handed"] * 3


def test_sessions_outlive_the_gateway(fake_stack):
    """A gateway restart would end every session of the host."""
    with fake_stack.connect("acme") as connection:
        pid = ask(connection, "select pid")
        fake_stack.kill_and_wait("gateway")
        assert ask(connection, "select pid") == pid
        wait_until(lambda: int(pid) in fake_stack.sql_pids("acme"), 10, "adoption")
        with fake_stack.connect("acme") as second:
            assert ask(second, "select pid") == pid
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select sleep")
        timer.join()


def test_clients_wait_while_the_gateway_restarts(fake_stack):
    """Clients would be refused for as long as a restart takes."""
    fake_stack.kill(fake_stack.pid("gateway"))
    with fake_stack.connect("acme") as connection:
        assert ask(connection, "select tenant") == "acme"
    wait_until(fake_stack.is_ready, 20, "ready again")


def test_the_zygote_comes_back(fake_stack):
    """After the zygote's death no sleeping tenant could be woken."""
    with fake_stack.connect("acme") as connection:
        fake_stack.kill_and_wait("zygote")
        wait_until(
            lambda: sum(p.get("state") == "warm" for p in fake_stack.processes()) >= 4, 20, "warm"
        )
        assert ask(connection, "select tenant") == "acme"


def test_the_kv_node_comes_back(fake_stack):
    """Logins during a restart of the KV node would fail instead of waiting."""
    fake_stack.kill(fake_stack.pid("kvnode"))
    with fake_stack.connect("globex") as connection:
        assert ask(connection, "select tenant") == "globex"


def test_a_suspended_tenant_is_refused_and_comes_back(fake_stack):
    """Suspending a tenant would leave its processes running."""
    admin = fake_stack.admin()
    try:
        with fake_stack.connect("globex") as connection:
            admin.set("globex", is_suspended=True)
            # AdminShutdown, unless a query crosses it on the way: then the socket is closed.
            with pytest.raises(psycopg.OperationalError):
                wait_until(lambda: not ask(connection, "select 1"), 5, "the session ends")
        with pytest.raises(psycopg.OperationalError, match="suspended"):
            fake_stack.connect("globex")
    finally:
        admin.set("globex", is_suspended=False)
        admin.close()
    with fake_stack.connect("globex") as connection:
        assert ask(connection, "select tenant") == "globex"


def test_bad_start_ups_end_quickly_and_hurt_nobody(fake_stack):
    """One malformed or silent client would take the gateway's memory or time."""
    address = ("127.0.0.1", fake_stack.running.pg_port)
    silent = [socket.create_connection(address) for _ in range(20)]
    for start in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("!II", 1 << 30, 196608), b"\0\0\0\x04"):
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(start)
            assert client.recv(4096)[:1] in (b"E", b"")
    with fake_stack.connect("acme") as connection:
        assert ask(connection, "select tenant") == "acme"
    for client in silent:
        client.close()


def test_health_and_metrics(fake_stack):
    """A load balancer or Prometheus would see nothing."""
    assert fake_stack.http("/health") == (200, "ok\n")
    wait_until(fake_stack.is_ready, 10, "ready")
    text = fake_stack.http("/metrics")[1]
    assert "insula_pool_processes" in text
    assert "insula_gateway_hand_over_seconds_bucket" in text


def test_thirty_two_clients_at_once(fake_stack):
    """pgbench -c 32 would not connect."""
    connections = [fake_stack.connect("acme") for _ in range(32)]
    assert {ask(c, "select tenant") for c in connections} == {"acme"}
    for connection in connections:
        connection.close()


def test_the_end_leaves_nothing_behind():
    """A stopped stack would leave processes, sockets or its record."""
    with FakeStack() as stack:
        stack.create_tenant("acme")
        connection = stack.connect("acme")
        pids = [p["pid"] for p in stack.processes()]
        run_dir = stack.running.run_dir
        assert stack.stop(signal_number=signal.SIGINT) == 0
        assert not any(is_running(pid) for pid in pids)
        assert not run_dir.exists()
        assert not stack.ready_file.exists()
        assert not (stack.data_dir / "insula.json").exists()
        with pytest.raises(psycopg.OperationalError):
            ask(connection, "select 1")


def test_no_process_outlives_a_killed_supervisor():
    """kill -9 of `insula start` would leave a stack that nobody can stop."""
    with FakeStack() as stack:
        stack.create_tenant("acme")
        connection = stack.connect("acme")
        pids = [p["pid"] for p in stack.processes()]
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        stack.expect_log(*KILL_EVENTS)
        wait_until(lambda: not any(is_running(pid) for pid in pids), 15, "all have ended")
        connection.close()


def test_two_stacks_on_one_data_directory_are_refused():
    """Two KV nodes on one store would destroy it."""
    with FakeStack() as stack:
        done = stack.insula("start", "--pg", "127.0.0.1:0", check=False)
        assert done.returncode == 1
        assert "running on" in done.stderr


def test_a_port_in_use_is_said_at_once(tmp_path):
    """The operator would wait for a stack that cannot start, or search for the reason in a log."""
    with FakeStack() as stack:
        for flag in ("--pg", "--http", "--kv", "--admin"):
            where = [f"--{name}=127.0.0.1:0" for name in ("pg", "http", "kv", "admin")]
            where += [f"{flag}={stack.running.pg}", f"--data-dir={tmp_path / 'other'}"]
            done = stack.insula("start", *where, check=False)
            assert done.returncode == 1
            assert f"cannot listen on {stack.running.pg}" in done.stderr


def test_a_killed_stack_can_be_started_again_at_once():
    """Its old ready file would be believed, its ports be in use, and systemd never be told."""
    with FakeStack() as stack:
        stack.create_tenant("acme")
        before = json.loads(stack.ready_file.read_text())
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        stack.expect_log(*KILL_EVENTS)
        stack.start()
        after = json.loads(stack.ready_file.read_text())
        assert after["pid"] == stack.process.pid != before["pid"]
        with stack.connect("acme") as connection:
            assert ask(connection, "select tenant") == "acme"
        assert sum("stack_ready" in line for line in stack.log_file.read_text().splitlines()) == 2
