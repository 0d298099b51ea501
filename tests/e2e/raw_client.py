"""A pgwire client that sends what it is told: for bad clients, and for timing without a driver."""

import base64
import functools
import hashlib
import hmac
import os
import socket
import struct

from tests.e2e.stack import PASSWORD, USER


def start_up(tenant, user=USER):
    """Return a start-up packet."""
    words = ["user", user, "database", "defaultdb", "options", f"--tenant={tenant}"]
    body = struct.pack("!I", 196608) + b"".join(w.encode() + b"\0" for w in words) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def message(tag, body=b""):
    """Return one message."""
    return tag + struct.pack("!I", len(body) + 4) + body


def query(sql):
    """Return a simple query."""
    return message(b"Q", sql.encode() + b"\0")


def tcp(stack, *, timeout_s=10.0):
    """Return a TCP connection to the gateway, nothing sent."""
    sock = socket.create_connection(("127.0.0.1", stack.running.pg_port), timeout=timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class RawClient:
    """Messages over a socket that is not logged in yet."""

    def __init__(self, sock):
        self.socket = sock
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *data):
        self.socket.sendall(b"".join(data))

    def receive(self):
        """Return the next (tag, body); (b"", b"") at the end of the stream."""
        while True:
            if len(self._buffer) >= 5:
                end = 1 + struct.unpack_from("!I", self._buffer, 1)[0]
                if len(self._buffer) >= end:
                    tag, body = bytes(self._buffer[:1]), bytes(self._buffer[5:end])
                    del self._buffer[:end]
                    return tag, body
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return b"", b""
            self._buffer += data

    def until(self, *tags):
        """Return the messages up to one of `tags` or the end of the stream."""
        seen = []
        while True:
            seen.append(self.receive())
            if seen[-1][0] in (*tags, b""):
                return seen

    def log_in(self, tenant, *, user=USER, password=PASSWORD):
        """Send the start-up packet and do SCRAM-SHA-256; the server's next message is unread."""
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        self.send(start_up(tenant, user))
        tag, body = self.receive()
        if tag != b"R":
            return [(tag, body)]
        first = f"n,,{bare}".encode()
        self.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
        tag, body = self.receive()
        if tag != b"R":
            return [(tag, body)]
        server_first = body[4:].decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        salted = _salted(password, base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = f"c=biws,r={fields['r']}"
        whole = f"{bare},{server_first},{without_proof}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), whole, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
        self.send(message(b"p", f"{without_proof},p={proof.decode()}".encode()))
        return []

    def connect(self, tenant, **login):
        """Log in and wait until the server is ready. Raises: AssertionError."""
        seen = self.log_in(tenant, **login) or self.until(b"Z", b"E")
        assert seen[-1][0] == b"Z", seen[-1]
        return self

    def run(self, sql):
        """Run a simple query; return its messages up to ReadyForQuery."""
        self.send(query(sql))
        return self.until(b"Z")


@functools.lru_cache(maxsize=1024)
def _salted(password, salt, iterations):
    """PBKDF2: the client's own time, so it is done once for each salt."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def sqlstate(messages):
    """Return the SQLSTATE of the first ErrorResponse among messages, or None."""
    for tag, body in messages:
        if tag == b"E":
            return next(f[1:].decode() for f in body.split(b"\0") if f[:1] == b"C")
    return None
