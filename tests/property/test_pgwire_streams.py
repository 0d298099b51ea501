"""Mutated byte streams into every parser, and COPY round trips."""

import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from pgwire import oids
from pgwire.connection import ConnectionLimits, ServerConnection, State
from pgwire.copy_format import CopyReader
from pgwire.copy_options import CopyOptions
from pgwire.copy_writer import CopyWriter
from pgwire.errors import SqlError
from pgwire.scram import ScramServer, mock_verifier
from pgwire.startup import STARTUP_BYTES_MAX, StartupParser, parse_options

TAGS = b"QPBDECHSdcfXFp"
LIMITS = ConnectionLimits(message_bytes_max=2_000, small_message_bytes_max=200)
MESSAGES = st.builds(
    lambda tag, body: bytes((tag,)) + struct.pack("!I", len(body) + 4) + body,
    st.sampled_from(TAGS),
    st.binary(max_size=60) | st.just(b"a\0b\0\0\0\0\0\0\0"),
)
STREAMS = st.lists(MESSAGES | st.binary(max_size=12), max_size=12).map(b"".join)
CUTS = st.integers(1, 50)
CELLS = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=8)


@given(STREAMS, CUTS, st.booleans())
def test_connection_survives_any_bytes(data, cut, is_copy):
    """A malicious client would crash the process or fill its memory."""
    connection = ServerConnection(LIMITS)
    if is_copy:
        connection.begin_copy_in()
    for start in range(0, len(data), cut):
        connection.feed(data[start : start + cut])
        while True:
            try:
                if connection.next_frame() is None:
                    break
            except SqlError as error:
                connection.fail(error)
        assert connection.buffered_bytes <= LIMITS.message_bytes_max + cut
    assert connection.state in State


@given(st.binary(max_size=200), CUTS)
def test_startup_survives_any_bytes(data, cut):
    """A port scanner would crash the gateway."""
    for prefix in (
        b"",
        struct.pack("!II", len(data) + 8, 3 << 16),
        struct.pack("!II", 16, 80877102),
    ):
        parser = StartupParser()
        try:
            for start in range(0, len(data), cut):
                parser.feed((prefix if start == 0 else b"") + data[start : start + cut])
                while parser.next_packet() is not None:
                    pass
                assert len(parser.unread) <= STARTUP_BYTES_MAX
        except SqlError:
            pass


@given(st.text(max_size=60))
def test_options_survive_any_text(text):
    """PGOPTIONS would crash the gateway."""
    with suppress(SqlError):
        parse_options(text)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_scram_survives_any_bytes(first, final):
    """A log-in attempt would crash the gateway, or succeed by chance."""
    server = ScramServer(mock_verifier("u", b"s"), b"n" * 18)
    for prefix in (b"", b"n,,n=,r="):
        try:
            server.first("SCRAM-SHA-256", prefix + first)
        except SqlError:
            continue
    try:
        server.final(final)
    except SqlError:
        return
    raise AssertionError("nobody may log in with noise")


def options():
    text = st.builds(
        CopyOptions, delimiter=st.sampled_from(["\t", "|", ","]), null=st.sampled_from(["\\N", ""])
    )
    csv = st.builds(
        CopyOptions,
        format=st.just("csv"),
        delimiter=st.sampled_from([",", ";", "\t"]),
        escape=st.sampled_from(['"', "\\"]),
        quote=st.sampled_from(['"', "'"]),
        null=st.sampled_from(["", "NULL"]),
        header=st.booleans(),
        force_quote=st.sampled_from([frozenset(), frozenset("*"), frozenset("b")]),
    )
    return text | csv


@given(options(), ROWS, CUTS)
def test_copy_round_trip(copy_options, rows, cut):
    """COPY TO followed by COPY FROM would change a table."""
    if copy_options.format == "text" and copy_options.null == "":
        # The empty string is then written like NULL, in PostgreSQL too.
        rows = [tuple(value or None for value in row) for row in rows]
    writer = CopyWriter(copy_options, ["a", "b"], [oids.TEXT, oids.TEXT])
    data = writer.header() + writer.encode(rows)
    reader = CopyReader(copy_options, "t", ["a", "b"])
    got = []
    for start in range(0, len(data), cut):
        got += reader.feed(data[start : start + cut])
    got += reader.finish()
    assert got == rows


@given(options(), st.binary(max_size=80), CUTS)
def test_copy_survives_any_bytes(copy_options, data, cut):
    """One bad file would end the session with an internal error."""
    reader = CopyReader(copy_options, "t", ["a", "b"])
    try:
        for start in range(0, len(data), cut):
            for row in reader.feed(data[start : start + cut]):
                assert len(row) == 2
        reader.finish()
    except SqlError as error:
        has_context = error.context is not None
    else:
        has_context = True
    assert has_context
