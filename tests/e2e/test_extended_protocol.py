"""The extended protocol message by message, over a raw socket, as no driver sends it."""

import socket
import struct

import pytest

from tests.e2e.stack import USER

pytestmark = pytest.mark.e2e


class RawClient:
    """A socket that has logged in over the trusted Unix socket."""

    def __init__(self, stack):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(f"{stack.running.run_dir}/.s.PGSQL.{stack.running.pg_port}")
        words = ["user", USER, "database", "defaultdb", "options", "--tenant=acme"]
        body = struct.pack("!I", 196608) + b"".join(w.encode() + b"\0" for w in words) + b"\0"
        self.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        self._buffer = b""
        self.until_ready()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def message(self):
        while len(self._buffer) < 5 or len(self._buffer) < 1 + self._length():
            data = self.socket.recv(65536)
            if not data:
                return "", b""
            self._buffer += data
        end = 1 + self._length()
        tag, body = self._buffer[:1].decode(), self._buffer[5:end]
        self._buffer = self._buffer[end:]
        return tag, body

    def _length(self):
        return struct.unpack("!I", self._buffer[1:5])[0]

    def until_ready(self):
        """Return the tags up to ReadyForQuery, errors as E:sqlstate, the status as Z:I."""
        tags = []
        while True:
            tag, body = self.message()
            if tag == "E":
                fields = dict((f[:1], f[1:]) for f in body.split(b"\0") if f)
                tags.append("E:" + fields[b"C"].decode())
            elif tag == "C":
                tags.append("C:" + body[:-1].decode())
            elif tag == "Z":
                return [*tags, "Z:" + body.decode()]
            elif tag == "":
                return [*tags, "closed"]
            else:
                tags.append(tag)


def framed(tag, *parts):
    body = b"".join(parts)
    return tag.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def parse(sql, name="", oids=()):
    return framed("P", text(name), text(sql), struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(values=(), portal="", name=""):
    data = b"".join(struct.pack("!i", len(v)) + v for v in values)
    return framed("B", text(portal), text(name), struct.pack("!HH", 0, len(values)), data, b"\0\0")


def execute(portal="", rows=0):
    return framed("E", text(portal), struct.pack("!i", rows))


def describe(kind, name=""):
    return framed("D", kind.encode(), text(name))


SYNC = framed("S")
FLUSH = framed("H")


@pytest.fixture
def client(stack):
    raw = RawClient(stack)
    yield raw
    raw.socket.close()


def test_every_message_is_answered_in_order(client):
    """What every driver does."""
    client.send(parse("select $1::int4"), bind([b"5"]), describe("P"), execute(), SYNC)
    assert client.until_ready() == ["1", "2", "T", "D", "C:SELECT 1", "Z:I"]
    client.send(describe("S"), SYNC)
    assert client.until_ready() == ["t", "T", "Z:I"]


def test_suspended_portals_go_on(client):
    """Row limits: fetch size in JDBC."""
    sql = "select g from generate_series(1, 5) g"
    client.send(parse(sql), bind(), execute(rows=2), execute(rows=2), execute(rows=2), SYNC)
    answers = ["1", "2", "D", "D", "s", "D", "D", "s", "D", "C:SELECT 1", "Z:I"]
    assert client.until_ready() == answers
    client.send(execute(rows=2), SYNC)
    assert client.until_ready() == ["E:34000", "Z:I"]


@pytest.mark.parametrize(
    ("messages", "answers"),
    [
        ([bind([b"1", b"2"])], ["E:08P01"]),
        ([bind(name="nope")], ["E:26000"]),
        ([execute("nope")], ["E:34000"]),
        ([describe("S", "nope")], ["E:26000"]),
        ([parse("select 1; select 2")], ["E:42601"]),
        ([parse("select $1")], ["1"]),
        ([parse("select 1", oids=(999999,))], ["E:42704"]),
        ([bind([b"x"])], ["E:22P02"]),
        ([parse("select 1", "twice"), parse("select 1", "twice")], ["1", "E:42P05"]),
        ([framed("B", b"\1")], ["E:08P01"]),
        ([parse(""), bind(), execute()], ["1", "2", "I"]),
    ],
)
def test_errors_wait_for_sync(client, messages, answers):
    """After an error everything up to Sync is skipped, and the session goes on."""
    client.send(parse("select $1::int4 as x"), SYNC)
    assert client.until_ready() == ["1", "Z:I"]
    client.send(*messages, SYNC)
    assert client.until_ready() == [*answers, "Z:I"]
    client.send(framed("Q", text("select 1")))
    assert client.until_ready() == ["T", "D", "C:SELECT 1", "Z:I"]


def test_an_error_skips_what_was_pipelined_behind_it(client):
    """Else the rest of a batch would run without its head."""
    client.send(framed("Q", text("drop table if exists piped; create table piped (a int)")))
    client.until_ready()
    insert = [parse("insert into piped values (1)"), bind(), execute()]
    client.send(*insert, parse("select 1/0"), bind(), execute(), *insert, SYNC, *insert, SYNC)
    first = client.until_ready()
    assert first == ["1", "2", "C:INSERT 0 1", "1", "2", "E:22012", "Z:I"]
    assert client.until_ready() == ["1", "2", "C:INSERT 0 1", "Z:I"]
    client.send(framed("Q", text("select count(*) from piped")))
    assert client.until_ready() == ["T", "D", "C:SELECT 1", "Z:I"]
    client.send(framed("Q", text("delete from piped")))
    assert client.until_ready() == ["C:DELETE 1", "Z:I"]


def test_the_function_call_message_is_refused(client):
    """It needs no Sync: its error is answered by ReadyForQuery at once."""
    client.send(framed("F", b"\0" * 8))
    assert client.until_ready() == ["E:0A000", "Z:I"]


def test_flush_answers_without_ending_anything(client):
    """Flush sends what is there; the transaction stays open until Sync."""
    client.send(parse("select 1"), FLUSH)
    assert client.message()[0] == "1"
    client.send(bind(), execute(), FLUSH)
    assert [client.message()[0] for _ in range(3)] == ["2", "D", "C"]
    client.send(SYNC)
    assert client.until_ready() == ["Z:I"]


def test_blocks_over_the_extended_protocol(client):
    """BEGIN and COMMIT as prepared statements."""

    def run(sql):
        client.send(parse(sql), bind(), execute(), SYNC)
        return client.until_ready()[2:]

    assert run("begin") == ["C:BEGIN", "Z:T"]
    assert run("select 1") == ["D", "C:SELECT 1", "Z:T"]
    client.send(parse("select 1/0"), bind(), execute(), SYNC)
    assert client.until_ready()[-2:] == ["E:22012", "Z:E"]
    client.send(parse("select 1"), SYNC)
    assert client.until_ready() == ["E:25P02", "Z:E"]
    assert run("rollback") == ["C:ROLLBACK", "Z:I"]


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xff\xff\xff\xff", framed("Q", b"x" * 3)[:3], b"Q\x7f\xff\xff\xff", b"S\0\0\0\3"],
)
def test_garbage_ends_only_its_own_session(stack, client, garbage):
    """Fuzz and port scanners."""
    other = RawClient(stack)
    client.send(garbage)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.until_ready()[-1] == "closed"
    other.send(framed("Q", text("select 1")))
    assert other.until_ready()[-1] == "Z:I"
    other.socket.close()


def test_binary_and_text_formats_may_be_mixed(client):
    """One format code for each column."""
    formats = struct.pack("!HHH", 0, 0, 2) + struct.pack("!hh", 1, 0)
    message = framed("B", text(""), text(""), formats)
    client.send(parse("select 1::int4, 2::int4"), message, execute(), SYNC)
    tags = [client.message() for _ in range(3)]
    assert tags[2][1] == b"\0\2\0\0\0\4\0\0\0\1\0\0\0\0012"
    assert client.until_ready() == ["C:SELECT 1", "Z:I"]
