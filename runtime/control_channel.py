"""One end of a control connection on an event loop: messages and sockets in and out.

**Concurrency.** Owned by the loop it was made on. `send` never waits: what the kernel does not
take at once is queued, and a peer that lets more than `_QUEUE_MAX` messages pile up is cut off.
"""

import asyncio
import collections
import logging
import socket
from collections.abc import Callable
from typing import Final

from runtime.control_wire import (
    ControlViolation,
    Message,
    decode,
    encode,
    receive_packet,
    send_packet,
)

_QUEUE_MAX: Final = 4096
_PACKETS_PER_TURN: Final = 64
_log = logging.getLogger(__name__)


class ControlChannel:
    """Send and receive control messages. `on_message` gets each message and owns its sockets."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_message: Callable[[Message, list[socket.socket]], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._unsent: collections.deque[tuple[bytes, tuple[socket.socket, ...]]] = (
            collections.deque()
        )
        self.is_open = True
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, message: Message, sockets: tuple[socket.socket, ...] = ()) -> bool:
        """Send `message`; takes over `sockets` and closes them here once they are sent.

        Returns False, and closes the sockets, if the channel is closed.
        """
        if not self.is_open:
            _close_all(sockets)
            return False
        self._unsent.append((encode(message), sockets))
        if len(self._unsent) == 1:
            self._flush()
        elif len(self._unsent) > _QUEUE_MAX:
            _log.warning("control_peer_stuck", extra={"queued": len(self._unsent)})
            self.close()
        return self.is_open

    def close(self) -> None:
        """Close the connection; `on_closed` is called, once, by the loop: never within `send`."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, sockets in self._unsent:
            _close_all(sockets)
        self._unsent.clear()
        self._loop.call_soon(self._on_closed)

    def _flush(self) -> None:
        while self._unsent:
            packet, sockets = self._unsent[0]
            try:
                send_packet(self._sock, packet, tuple(s.fileno() for s in sockets))
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self.close()
                return
            self._unsent.popleft()
            _close_all(sockets)
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        for _ in range(_PACKETS_PER_TURN):
            if not self.is_open or not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            packet, fds = receive_packet(self._sock)
        except BlockingIOError:
            return False
        except (OSError, ControlViolation) as error:
            if not isinstance(error, ConnectionResetError):
                _log.warning("control_connection_failed", extra={"error": str(error)})
            self.close()
            return False
        if not packet:
            self.close()
            return False
        sockets = [socket.socket(fileno=fd) for fd in fds]
        try:
            message = decode(packet)
        except ControlViolation as error:
            _log.warning("control_message_refused", extra={"error": str(error)})
            _close_all(tuple(sockets))
            self.close()
            return False
        self._on_message(message, sockets)
        return True


def connect_control(path: str) -> socket.socket:
    """Connect, blocking, to the gateway's control socket. Raises: OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _close_all(sockets: tuple[socket.socket, ...]) -> None:
    for sock in sockets:
        sock.close()
