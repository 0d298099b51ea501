"""The start-up packet and its options parameter."""

import struct

import pytest

from pgwire import errors, startup


def packet(code, body=b""):
    return struct.pack("!II", len(body) + 8, code) + body


def parse(data):
    parser = startup.StartupParser()
    parser.feed(data)
    return parser.next_packet()


def test_ordinary_start():
    """Nobody could log in."""
    got = parse(packet(3 << 16, b"user\0u\0database\0d\0options\0--tenant=a\0\0"))
    assert got.parameters == {"user": "u", "database": "d", "options": "--tenant=a"}
    assert (got.user, got.database, got.needs_negotiation) == ("u", "d", False)
    assert parse(packet(3 << 16, b"user\0u\0\0")).database == "u"


def test_newer_minor_and_protocol_options_are_negotiated():
    """libpq 18 asks for 3.2: it would be turned away."""
    got = parse(packet((3 << 16) + 2, b"user\0u\0_pq_.x\0y\0\0"))
    assert got.needs_negotiation
    assert got.unknown_options == ("_pq_.x",)
    assert "_pq_.x" not in got.parameters


def test_requests():
    """TLS and cancel would not work."""
    assert parse(packet(80877103)) == startup.SslRequest()
    assert parse(packet(80877104)) == startup.GssEncRequest()
    got = parse(packet(80877102, b"\0\0\0\7\0\0\0\x09"))
    assert got == startup.CancelRequest(7, b"\0\0\0\x09")


def test_partial_packets_wait():
    """A slow client would be refused."""
    parser = startup.StartupParser()
    whole = packet(80877103) + packet(3 << 16, b"user\0u\0\0") + b"Q"
    seen = []
    for byte in whole:
        parser.feed(bytes((byte,)))
        if (got := parser.next_packet()) is not None:
            seen.append(got)
    assert [type(got).__name__ for got in seen] == ["SslRequest", "StartupMessage"]
    assert parser.unread == b"Q"


@pytest.mark.parametrize(
    ("data", "sqlstate"),
    [
        (b"\0\0\0\4", "08P01"),
        (b"\0\1\0\0\0\3\0\0", "08P01"),
        (b"GET / HTTP/1.1\r\n", "08P01"),
        (packet(2 << 16, b"user\0u\0\0"), "0A000"),
        (packet(3 << 16, b"user\0u\0"), "08P01"),
        (packet(3 << 16, b"user\0u\0\0x"), "08P01"),
        (packet(3 << 16, b"user\0u\0\0x\0"), "08P01"),
        (packet(3 << 16, b"\0"), "28000"),
        (packet(3 << 16, b""), "08P01"),
        (packet(80877102, b"\0"), "08P01"),
        (packet(3 << 16, b"user\0\xff\0\0"), "22021"),
    ],
)
def test_malformed(data, sqlstate):
    """Port scanners would crash the gateway or make it wait."""
    with pytest.raises(errors.SqlError) as caught:
        parse(data)
    assert caught.value.sqlstate == sqlstate


def test_options():
    """PGOPTIONS would route to another tenant or set another value."""
    assert startup.parse_options(r"-c a=b\ c --lock-timeout=5 -cd=e\\f") == {
        "a": "b c",
        "lock_timeout": "5",
        "d": "e\\f",
    }
    assert startup.parse_options("  ") == {}
    for bad in ("-x", "--tenant", "-c", "-c =1", "tenant=a"):
        with pytest.raises(errors.SqlSyntaxError):
            startup.parse_options(bad)
