"""Frames, error recovery, COPY-in and the limits of the connection state machine."""

import struct

import pytest

from pgwire import errors, frames, messages
from pgwire.connection import ConnectionLimits, ServerConnection, State


def message(tag, body=b""):
    return tag + struct.pack("!I", len(body) + 4) + body


PARSE = message(b"P", b"s\0select $1\0\0\1\0\0\0\x17")
BIND = message(b"B", b"p\0s\0\0\1\0\1\0\2\0\0\0\4\0\0\0\7\xff\xff\xff\xff\0\1\0\1")
SYNC = message(b"S")


def drain(connection):
    result = []
    while (frame := connection.next_frame()) is not None:
        result.append(frame)
    return result


def test_every_frame():
    """A driver's message would be misread."""
    connection = ServerConnection()
    connection.feed(message(b"Q", b"select 1\0") + PARSE)
    connection.feed(message(b"B", b"p\0s\0\0\0\0\1\0\0\0\1x\0\0"))
    connection.feed(message(b"D", b"Ss\0") + message(b"E", b"p\0\0\0\0\5") + message(b"C", b"Pp\0"))
    connection.feed(message(b"H") + SYNC + message(b"p", b"secret\0") + message(b"X"))
    assert drain(connection) == [
        frames.Query("select 1"),
        frames.Parse("s", "select $1", (23,)),
        frames.Bind("p", "s", (), (b"x",), ()),
        frames.Describe("S", "s"),
        frames.Execute("p", 5),
        frames.Close("P", "p"),
        frames.Flush(),
        frames.Sync(),
        frames.PasswordMessage(b"secret\0"),
        frames.Terminate(),
    ]


def test_bind():
    """Parameters would arrive with another format or as another value."""
    connection = ServerConnection()
    connection.feed(BIND)
    bind = connection.next_frame()
    assert bind == frames.Bind("p", "s", (1,), (b"\0\0\0\7", None), (1,))
    assert bind.param_format(1) == 1


def test_byte_by_byte_is_the_same():
    """A slow network would change what a message means."""
    connection = ServerConnection()
    seen = []
    for byte in PARSE + SYNC:
        connection.feed(bytes((byte,)))
        seen += drain(connection)
    assert seen == [frames.Parse("s", "select $1", (23,)), frames.Sync()]


def test_error_discards_to_sync():
    """After a failed Parse the pipelined Execute would run against the wrong statement."""
    connection = ServerConnection()
    connection.feed(PARSE + PARSE + message(b"Q", b"dropped\0") + SYNC + message(b"Q", b"x\0"))
    assert isinstance(connection.next_frame(), frames.Parse)
    reply = connection.fail(errors.SqlSyntaxError("bad", position=3))
    assert reply[:1] == b"E"
    assert connection.next_frame() == frames.Sync()
    assert connection.next_frame() == frames.Query("x")


def test_error_in_simple_query_discards_nothing():
    """The next query of a simple client would be swallowed."""
    connection = ServerConnection()
    connection.feed(message(b"Q", b"a\0") + message(b"Q", b"b\0"))
    connection.next_frame()
    connection.fail(errors.UndefinedTable("no"))
    assert connection.next_frame() == frames.Query("b")


def test_malformed_body_is_an_error_and_not_the_end():
    """One bad Bind would break the connection, or worse, be half understood."""
    connection = ServerConnection()
    connection.feed(message(b"B", BIND[5:-2]) + SYNC)
    with pytest.raises(errors.ProtocolViolation) as caught:
        connection.next_frame()
    assert not caught.value.is_fatal
    connection.fail(caught.value)
    assert connection.next_frame() == frames.Sync()


def test_function_call_is_refused():
    """Old drivers' fast path would hang."""
    connection = ServerConnection()
    connection.feed(message(b"F", b"\0\0\0\1"))
    with pytest.raises(errors.FeatureNotSupported):
        connection.next_frame()


@pytest.mark.parametrize(
    "data",
    [
        b"Q\x7f\xff\xff\xff",
        b"Q\0\0\0\3",
        b"E\0\1\0\0",
        b"!",
        b"\0\0\0\0\0",
    ],
)
def test_bad_headers_are_fatal_before_the_body(data):
    """A client could make the server collect gigabytes, or loop on garbage."""
    connection = ServerConnection()
    connection.feed(data)
    with pytest.raises(errors.ProtocolViolation) as caught:
        connection.next_frame()
    assert caught.value.is_fatal
    assert connection.state is State.BROKEN
    connection.feed(b"x" * 1000)
    assert connection.buffered_bytes == 0
    assert connection.next_frame() is None


def test_copy_in():
    """Flush and Sync inside COPY, and data after a failed COPY, would derail the session."""
    connection = ServerConnection()
    connection.feed(message(b"Q", b"copy t from stdin\0"))
    connection.next_frame()
    connection.begin_copy_in()
    connection.feed(message(b"d", b"1\n") + message(b"H") + SYNC + message(b"d", b"2\n"))
    assert drain(connection) == [frames.CopyData(b"1\n"), frames.CopyData(b"2\n")]
    connection.fail(errors.BadCopyFileFormat("bad"))
    connection.feed(message(b"d", b"3\n") + message(b"c") + message(b"Q", b"x\0"))
    assert drain(connection) == [frames.Query("x")]
    connection.begin_copy_in()
    connection.feed(message(b"f", b"enough\0"))
    assert drain(connection) == [frames.CopyFail("enough")]
    connection.feed(message(b"Q", b"x\0"))
    with pytest.raises(errors.ProtocolViolation):
        connection.next_frame()


def test_backlog_and_hand_over():
    """A pipelining client would fill memory; a handed-over session would lose bytes."""
    connection = ServerConnection(ConnectionLimits(backlog_bytes_max=100))
    connection.feed(message(b"Q", b"x" * 50 + b"\0") * 3)
    assert connection.is_backlogged
    assert connection.has_frames_pending
    drain(connection)
    connection.feed(b"Q\0\0")
    assert not connection.is_backlogged
    assert connection.unread == b"Q\0\0"


def test_messages():
    """Drivers would not recognise errors or columns."""
    error = errors.UniqueViolation("dup", detail="d", table_name="t", constraint_name="t_pkey")
    expected = b"SERROR\0VERROR\0C23505\0Mdup\0Dd\0tt\0nt_pkey\0\0"
    assert messages.error_response(error) == message(b"E", expected)
    assert messages.notice_response(errors.SqlError("n", sqlstate="00000"))[5:12] == b"SNOTICE"
    column = messages.FieldDescription("a", 23, 4)
    assert messages.row_description([column]) == message(
        b"T", b"\0\1a\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0)
    )
    assert messages.data_row([b"1", None]) == message(b"D", b"\0\2\0\0\0\x011\xff\xff\xff\xff")
    assert messages.copy_in_response(2) == message(b"G", b"\0\0\2\0\0\0\0")
    assert messages.command_complete("SELECT 1") == message(b"C", b"SELECT 1\0")
    assert messages.ready_for_query("T") == messages.READY_IN_TRANSACTION
    assert messages.backend_key_data(1, 2) == message(b"K", b"\0\0\0\1\0\0\0\2")
    assert messages.parameter_description([23, 25])[5:] == b"\0\2\0\0\0\x17\0\0\0\x19"


def test_every_sqlstate_has_one_shape():
    """A typo in a SQLSTATE would make drivers raise the wrong exception."""
    for state, kind in errors.BY_SQLSTATE.items():
        assert len(state) == 5
        assert state.isalnum()
        assert state == state.upper()
        assert kind("m").message == "m"
