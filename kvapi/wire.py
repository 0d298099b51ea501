"""Frames on a byte stream, and errors on the wire (sans-IO).

Layout of a frame on a Unix socket: length u32 big-endian, then that many bytes of a protobuf
ClientFrame or ServerFrame. A gRPC stream carries the same messages without the length.
"""

import struct
from typing import Final

from kvapi.errors import BY_CODE, InternalError, KvError, RequestTooLarge
from kvapi.pb import kv_pb2

LENGTH_BYTES: Final = 4
PROTOCOL_VERSION: Final = 1
_LENGTH = struct.Struct(">I")


def frame_bytes(message: kv_pb2.ClientFrame | kv_pb2.ServerFrame) -> bytes:
    """Return one length-prefixed frame."""
    body = message.SerializeToString()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frame bodies; what is incomplete waits for the next chunk.

    Memory is bounded by one frame: a length above `frame_bytes_max` raises before anything of it is
    kept.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._pending = bytearray()
        self._need = LENGTH_BYTES  # no frame can be complete with fewer pending bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the bodies that `chunk` completes, in order.

        Raises: RequestTooLarge; the stream is then out of step and must be closed.
        """
        if self._pending:
            self._pending += chunk
            if len(self._pending) < self._need:
                return []
            chunk = bytes(self._pending)
            self._pending.clear()
        bodies = []
        position, size = 0, len(chunk)
        self._need = LENGTH_BYTES
        while size - position >= LENGTH_BYTES:
            (length,) = _LENGTH.unpack_from(chunk, position)
            if length > self.frame_bytes_max:
                raise self._too_large(length)
            end = position + LENGTH_BYTES + length
            if end > size:
                self._need = LENGTH_BYTES + length
                break
            bodies.append(chunk[position + LENGTH_BYTES : end])
            position = end
        if position < size:
            self._pending += chunk[position:] if position else chunk
        return bodies

    @property
    def pending_bytes(self) -> int:
        """Bytes kept of a frame that is not complete yet."""
        return len(self._pending)

    def _too_large(self, length: int) -> RequestTooLarge:
        return RequestTooLarge(
            f"frame of {length} bytes, the limit is {self.frame_bytes_max}",
            number=self.frame_bytes_max,
        )


def error_to_proto(error: KvError) -> kv_pb2.Error:
    """Return the wire form of an error; one that only the client raises travels as INTERNAL."""
    code = error.code if error.code is not None else InternalError.code
    return kv_pb2.Error(
        code=code,  # type: ignore[arg-type]  # the stub wants its enum type, we have the number
        message=error.message,
        key=error.key,
        number=error.number & 0xFFFF_FFFF_FFFF_FFFF,
        detail=error.detail,
    )


def error_from_proto(error: kv_pb2.Error) -> KvError:
    """Return the typed error; a code from a newer node becomes InternalError."""
    return BY_CODE.get(error.code, InternalError)(
        error.message, key=error.key, number=error.number, detail=error.detail
    )
