"""Clients that break the rules: a clear error or a closed socket, bounded memory, no one hurt."""

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.raw_client import RawClient, message, query, sqlstate, start_up, tcp
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
STARTUP_S_MAX = 3
UNAUTHENTICATED_MAX = 300
HALF_OPEN = 2000
GATEWAY_GROWTH_BYTES_MAX = 100 << 20
SQL_GROWTH_BYTES_MAX = 300 << 20


@pytest.fixture(scope="module")
def harsh():
    """A stack with short limits, and a good client that works all the time."""
    limits = {
        "INSULA_GATEWAY__STARTUP_S_MAX": str(STARTUP_S_MAX),
        "INSULA_GATEWAY__UNAUTHENTICATED_MAX": str(UNAUTHENTICATED_MAX),
    }
    with Stack(environment=limits) as stack:
        stack.create_tenant("acme")
        with stack.connect("acme") as connection:
            connection.execute("create table good (n int primary key)")
        with GoodClient(stack):
            yield stack


class GoodClient(threading.Thread):
    """Reads, writes and connects anew all the time; fails if anything takes long."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self._stack = stack
        self._end = threading.Event()
        self.count = 0
        self.slowest_s = 0.0
        self.error = None

    def __enter__(self):
        self.start()
        wait_until(lambda: self.count > 0 or self.error, 20, "the good client works")
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join(30)
        assert self.error is None, self.error
        print(f"good client: {self.count} rounds, the slowest took {self.slowest_s:.2f} s")
        assert self.slowest_s < 5.0

    def run(self):
        try:
            with self._stack.connect("acme") as kept:
                while not self._end.wait(0.02):
                    started_s = time.monotonic()
                    with self._stack.connect("acme") as fresh:
                        assert fresh.execute("select 1").fetchone() == (1,)
                    kept.execute("insert into good values (%s)", (self.count,))
                    got = kept.execute("select count(*) from good where n >= 0").fetchone()
                    assert got == (self.count + 1,)
                    self.count += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - started_s)
        except Exception as error:
            self.error = error


def _resident_bytes(pid):
    fields = Path(f"/proc/{pid}/status").read_text()
    return int(fields.split("VmRSS:")[1].split()[0]) << 10


def _ends(client, within_s=10.0):
    """Read to the end of the stream; return the messages. A silent, open socket fails."""
    client.socket.settimeout(within_s)
    return client.until()


START_UPS = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "too long": struct.pack("!II", 1 << 30, 196608),
    "too short": b"\0\0\0\x04",
    "negative": b"\xff\xff\xff\xff\0\x03\0\0",
    "protocol 2": struct.pack("!II", 8, 131072),
    "no terminator": struct.pack("!II", 13, 196608) + b"user\0",
    "no user": struct.pack("!II", 9, 196608) + b"\0",
    "not utf-8": struct.pack("!II", 18, 196608) + b"user\0\xff\xfe\xfd\0\0",
    "no tenant": struct.pack("!II", 18, 196608) + b"user\0app\0\0",
    "tls asked again and again": struct.pack("!II", 8, 80877103) * 5,
    "short cancel": struct.pack("!II", 9, 80877102) + b"x",
    "zeros": bytes(4000),
}


@pytest.mark.parametrize("start", START_UPS.values(), ids=START_UPS)
def test_malformed_start_ups(harsh, start):
    """A port scanner would hang a connection or the gateway."""
    with RawClient(tcp(harsh)) as client:
        client.send(start)
        client.socket.settimeout(STARTUP_S_MAX + 5)
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := client.socket.recv(4096):
                data += chunk
        assert data.lstrip(b"N")[:1] in (b"E", b"")


def test_wrong_passwords(harsh):
    """A client would not learn what is wrong, or an attacker would learn who exists."""
    for tenant, user in (("acme", "app"), ("acme", "nobody"), ("nowhere", "app")):
        with RawClient(tcp(harsh)) as client:
            seen = client.log_in(tenant, user=user, password="wrong") or client.until(b"E", b"Z")
            assert sqlstate(seen) == "28P01"
            assert _ends(client)[-1] == (b"", b"")


@pytest.mark.parametrize(
    "payload",
    [
        message(b"p", b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
        message(b"p", b"MADE-UP\0" + struct.pack("!I", 3) + b"n,,"),
        message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", 3) + b"zzz"),
        b"p\x7f\xff\xff\xff",
        query("select 1"),
        os.urandom(200),
    ],
)
def test_garbage_instead_of_a_password(harsh, payload):
    """An unauthenticated client would reach more than the login."""
    with RawClient(tcp(harsh)) as client:
        client.send(start_up("acme"))
        assert client.receive()[0] == b"R"
        client.send(payload)
        assert sqlstate(_ends(client)) in ("08P01", "28P01", "28000", "0A000", None)


def test_slow_loris(harsh):
    """Clients that send a byte now and then would hold logins for ever."""
    with RawClient(tcp(harsh)) as client:
        started_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in start_up("acme") * 2:
                if select.select([client.socket], [], [], 0.2)[0]:
                    break
                client.send(bytes([byte]))
        assert sqlstate(_ends(client)) in ("08006", None)
        assert time.monotonic() - started_s < STARTUP_S_MAX + 3


def test_thousands_of_half_open_connections(harsh):
    """Silent connections would keep everybody else out, or fill the gateway's memory."""
    before = _resident_bytes(harsh.pid("gateway"))
    silent = [tcp(harsh) for _ in range(HALF_OPEN)]
    try:
        for _ in range(20):
            with harsh.connect("acme") as connection:
                assert connection.execute("select 1").fetchone() == (1,)
        grown = _resident_bytes(harsh.pid("gateway")) - before
        print(f"gateway grew by {grown >> 10} KiB for {HALF_OPEN} connections")
        assert grown < GATEWAY_GROWTH_BYTES_MAX
        text = harsh.http("/metrics")[1]
        held = float(text.split("\ninsula_gateway_unauthenticated ")[1].split()[0])
        assert held <= UNAUTHENTICATED_MAX
    finally:
        for sock in silent:
            sock.close()


AFTER_LOGIN = {
    "unknown message": message(b"z", b"x"),
    "too long": b"Q\x7f\xff\xff\xff",
    "too short": b"Q\0\0\0\x03",
    "negative": b"P\xff\xff\xff\xff",
    "long sync": b"S" + struct.pack("!I", 1 << 20) + bytes(1 << 20),
    "no terminator": message(b"Q", b"select 1"),
    "not utf-8": message(b"Q", b"select '\xff\xfe'\0"),
    "bind in pieces": message(b"B", b"\0\0\0\x05\0\1"),
    "bind counts": message(b"B", b"\0\0" + struct.pack("!HH", 0, 65535)) + message(b"S"),
    "parse counts": message(b"P", b"\0select 1\0" + struct.pack("!H", 9)) + message(b"S"),
    "describe nothing": message(b"D", b"X\0") + message(b"S"),
    "copy data": message(b"d", b"x") + message(b"c") + message(b"Q", b"select 1\0"),
    "password": message(b"p", b"secret\0"),
}


@pytest.mark.parametrize("data", AFTER_LOGIN.values(), ids=AFTER_LOGIN)
def test_malformed_messages(harsh, data):
    """A broken driver would hang its session, or end those of others in the process."""
    pids = harsh.sql_pids("acme")
    with RawClient(tcp(harsh)).connect("acme") as client:
        client.send(data)
        seen = client.until(b"Z", b"E")
        code = sqlstate(seen)
        assert code in (None, "08P01", "22021", "26000", "34000", "42P18"), code
        with contextlib.suppress(ConnectionError):
            client.send(message(b"S"), query("select 8"))
        # After a broken frame the stream cannot be trusted any more: closed.
        if code != "08P01" or client.until(b"D")[-1][0]:
            client.send(query("select 8"))
            assert client.until(b"D")[-1] == (b"D", b"\0\1\0\0\0\x018")
    assert harsh.sql_pids("acme") == pids


def test_random_bytes_after_login(harsh):
    """Any bytes at all could crash the process of a tenant."""
    pids = harsh.sql_pids("acme")
    rng = random.Random(7)
    for _ in range(60):
        with RawClient(tcp(harsh)).connect("acme") as client:
            body = rng.randbytes(rng.randrange(1, 300))
            tag = rng.choice(
                [b"Q", b"P", b"B", b"D", b"E", b"C", b"F", b"d", b"H", rng.randbytes(1)]
            )
            with contextlib.suppress(ConnectionError):
                client.send(message(tag, body), message(b"S"), rng.randbytes(40))
                client.socket.shutdown(socket.SHUT_WR)
            _ends(client)
    assert harsh.sql_pids("acme") == pids


def test_half_closed_after_a_query(harsh):
    """`echo … | nc` would get no answer."""
    with RawClient(tcp(harsh)).connect("acme") as client:
        client.send(query("select pg_sleep(0.2), 42"))
        client.socket.shutdown(socket.SHUT_WR)
        seen = _ends(client)
        assert any(tag == b"D" and body.endswith(b"42") for tag, body in seen)


@pytest.mark.parametrize(
    "sql",
    [
        "select repeat('x', 1000) from generate_series(1, 3000000)",
        "select g, repeat('y', 500) from generate_series(1, 3000000) g, (values (1), (2)) v",
        "copy (select repeat('x', 1000) from generate_series(1, 3000000)) to stdout",
    ],
)
def test_a_client_that_stops_reading(harsh, sql):
    """One forgotten result would fill the memory of its tenant's process."""
    (pid,) = harsh.sql_pids("acme")
    before = _resident_bytes(pid)
    with RawClient(tcp(harsh)).connect("acme") as client:
        client.send(query(sql))
        client.receive()
        highest = 0
        end_s = time.monotonic() + 3
        while time.monotonic() < end_s:
            highest = max(highest, _resident_bytes(pid))
            time.sleep(0.05)
        print(f"grew by {(highest - before) >> 20} MiB")
        assert highest - before < SQL_GROWTH_BYTES_MAX
    with harsh.connect("acme") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_copy_line_without_end(harsh):
    """A file without line ends would be held in memory as a whole."""
    (pid,) = harsh.sql_pids("acme")
    before = _resident_bytes(pid)
    with RawClient(tcp(harsh)).connect("acme") as client:
        client.run("create table if not exists line (t text)")
        client.send(query("copy line from stdin"))
        assert client.receive()[0] == b"G"
        piece = message(b"d", b"x" * (1 << 20))
        client.socket.settimeout(30)
        for _ in range(400):
            if select.select([client.socket], [], [], 0)[0]:
                break
            client.send(piece)
        client.send(message(b"c"))
        assert sqlstate(client.until(b"Z")) in ("54000", "22P04", "53200")
        assert client.run("select 7")[1][0] == b"D"
    assert _resident_bytes(pid) - before < SQL_GROWTH_BYTES_MAX


def test_a_client_that_vanishes_in_a_transaction(harsh):
    """Its locks and its writes would stay."""
    with RawClient(tcp(harsh)).connect("acme") as client:
        client.run("begin")
        client.run("insert into good values (-1)")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with harsh.connect("acme") as connection:
        connection.execute("set lock_timeout = '10s'")
        connection.execute("insert into good values (-1)")
        connection.execute("delete from good where n = -1")
