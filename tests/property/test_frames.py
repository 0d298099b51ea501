"""Frame parsing under arbitrary cutting and garbage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvapi.client.config import ClientConfig
from kvapi.client.request_stream import RequestStream
from kvapi.errors import BY_CODE, InternalError, KvError, RequestTooLarge
from kvapi.pb import kv_pb2
from kvapi.wire import FrameReader, error_from_proto, error_to_proto, frame_bytes


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 50), max_size=60))
def test_any_cutting_gives_the_same_frames(bodies, cuts):
    """A socket hands over bytes in whatever pieces it likes."""
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    reader = FrameReader(frame_bytes_max=300)
    got = []
    for cut in cuts:
        got += reader.feed(stream[:cut])
        stream = stream[cut:]
    got += reader.feed(stream)
    assert got == bodies
    assert reader.pending_bytes == 0


@given(st.binary(min_size=4, max_size=400), st.integers(1, 20))
def test_oversized_frames_are_refused_before_they_are_kept(data, cut):
    """A length of 4 GB must not make anyone allocate 4 GB."""
    reader = FrameReader(frame_bytes_max=16)
    with contextlib.suppress(RequestTooLarge):
        for start in range(0, len(data), cut):
            reader.feed(data[start : start + cut])
            assert reader.pending_bytes <= 16 + 4 + cut


@given(st.binary(max_size=200))
def test_client_survives_garbage_from_the_node(body):
    """Only typed errors may end a stream: anything else would kill the SQL process."""
    stream = RequestStream(ClientConfig(), lambda: 0.0)
    with contextlib.suppress(KvError):
        stream.receive(body)


@given(st.sampled_from(sorted(BY_CODE)), st.text(), st.binary(), st.integers(0, (1 << 64) - 1))
def test_errors_keep_their_class_and_fields(code, message, key, number):
    """The SQLSTATE and the named constraint are made from them."""
    error = BY_CODE[code](message, key=key, number=number, detail=message)
    wire = kv_pb2.Error.FromString(error_to_proto(error).SerializeToString())
    back = error_from_proto(wire)
    assert type(back) is type(error)
    assert (back.message, back.key, back.number, back.detail) == (message, key, number, message)


def test_every_code_has_its_class():
    """A code without a class would reach clients as an internal error."""
    names = {
        name: "".join(word.capitalize() for word in name.split("_"))
        for name in kv_pb2.ErrorCode.keys()  # noqa: SIM118  an enum wrapper is no dict
    }
    assert {code: cls.__name__ for code, cls in BY_CODE.items()} == {
        kv_pb2.ErrorCode.Value(name): "InternalError" if name == "INTERNAL" else camel
        for name, camel in names.items()
    }
    assert isinstance(error_from_proto(kv_pb2.Error(code=999)), InternalError)


def test_frame_bytes_is_what_the_reader_reads():
    """Both ends share this module."""
    frame = kv_pb2.ClientFrame(hello=kv_pb2.Hello(credential=b"x"))
    (body,) = FrameReader(100).feed(frame_bytes(frame))
    assert kv_pb2.ClientFrame.FromString(body) == frame


@pytest.mark.parametrize("limit", [1, 10])
def test_limit_is_inclusive(limit):
    """Two sides that disagree by one would drop a connection once in a blue moon."""
    reader = FrameReader(limit)
    assert reader.feed(limit.to_bytes(4, "big") + bytes(limit)) == [bytes(limit)]
    with pytest.raises(RequestTooLarge):
        reader.feed((limit + 1).to_bytes(4, "big"))
