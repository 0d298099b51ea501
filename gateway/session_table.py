"""Which session runs in which process, and the keys by which clients cancel. Pure."""

import hmac
import random
import struct
from dataclasses import dataclass

from runtime.control_wire import SessionKey


@dataclass(slots=True)
class SessionEntry:
    """One session that was handed over, or is about to be."""

    key: SessionKey
    pid: int | None = None


class SessionTable:
    """Sessions by id and by backend pid. `rng` must be unpredictable: keys are secrets."""

    def __init__(self, rng: random.Random, *, first_session_id: int) -> None:
        self._rng = rng
        self._next_id = first_session_id
        self._by_id: dict[int, SessionEntry] = {}
        self._by_backend: dict[int, SessionEntry] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def open(self) -> SessionKey:
        """Give out the key of a new session."""
        session_id = self._next_id
        self._next_id += 1
        backend_pid = self._rng.randrange(1, 1 << 31)
        while backend_pid in self._by_backend:
            backend_pid = self._rng.randrange(1, 1 << 31)
        key = SessionKey(session_id, backend_pid, self._rng.getrandbits(31))
        self._put(SessionEntry(key))
        return key

    def placed(self, session_id: int, pid: int | None) -> None:
        """Note that a session was handed over to `pid`; None: to nobody yet."""
        self._by_id[session_id].pid = pid

    def adopt(self, key: SessionKey, pid: int) -> None:
        """Take back a session from before the gateway's restart."""
        self._put(SessionEntry(key, pid))

    def close(self, session_id: int) -> SessionEntry | None:
        """Forget a session."""
        entry = self._by_id.pop(session_id, None)
        if entry is not None:
            self._by_backend.pop(entry.key.backend_pid, None)
        return entry

    def close_of(self, pid: int) -> int:
        """Forget all sessions of a process that is gone; return how many there were."""
        lost = [entry.key.session_id for entry in self._by_id.values() if entry.pid == pid]
        for session_id in lost:
            self.close(session_id)
        return len(lost)

    def find(self, backend_pid: int, secret: bytes) -> SessionEntry | None:
        """Return the session a cancel request names, if its secret is right."""
        entry = self._by_backend.get(backend_pid)
        if entry is None:
            return None
        expected = struct.pack("!I", entry.key.secret_key)
        return entry if hmac.compare_digest(expected, secret) else None

    def _put(self, entry: SessionEntry) -> None:
        self._by_id[entry.key.session_id] = entry
        self._by_backend[entry.key.backend_pid] = entry
