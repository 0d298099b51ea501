"""The KV node's memory: one configured bound, the parts it is divided into, and what it has.

**Model.** A quarter of `[kvnode] memory_bytes_max` is for what a node is at all: the interpreter
and its modules, streams and tenants, pages the writer has changed. The rest is divided among what
grows with the work. Each part is enforced where it grows; what a tenant may have of it depends on
how many others have some (`admission/shared_bytes.py`).

    part        of what is left   who goes beyond it
    requests    2/16              is refused (Throttled)
    lanes       2/16              is read no further
    staging     1.5/16            is asked to send the chunk again, later
    commits     1.5/16            is asked to send the commit again, later
    locks       6/16              is refused
    recent      1.5/16            is forgotten: validation looks into the store
    answers     1.5/16            waits; who leaves unread what others wait for is ended

What is counted is wire bytes or numbers; the factors below are what Python makes of them.

The sum is an estimate, so it is also watched: once a second the process's own memory (RssAnon) is
compared with the bound, and near it the parts shrink, until there is room again.

**Invariants.** A part never holds more than its bound, but for what one request adds to it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kvnode.admission.answer_room import AnswerRoom
from kvnode.admission.shared_bytes import SharedBytes
from kvnode.txn.recent_writes import RecentRoom

_log = logging.getLogger(__name__)
_FIXED_PART: Final = 0.25
_OBJECTS: Final = 3  # keys of a request: an object of 60 bytes for 20 on the wire
_PARSED: Final = 2  # a request that is parsed
_WRITTEN: Final = 1.25  # rows on their way to the disk, whose objects are counted with them
LOCK_BYTES: Final = 450  # key, holders, places in two dictionaries; measured 436
_STREAM_BYTES: Final = 16 << 10  # an open stream: session, lanes, transport
_SHORT: Final = 0.95
_ENOUGH: Final = 0.85
_WATCH_S: Final = 1.0
_STATUS: Final = Path("/proc/self/status")


class NodeMemory:
    """All parts. `later`: call something in the next turn of the loop. Owner: the event loop."""

    def __init__(self, bytes_max: int, later: Callable[[Callable[[], None]], object]) -> None:
        self.bytes_max = bytes_max
        part = int(bytes_max * (1 - _FIXED_PART)) // 32
        self.requests = SharedBytes(4 * part // _OBJECTS)
        self.lanes = SharedBytes(4 * part // _PARSED)
        self.staging = SharedBytes(int(3 * part / _WRITTEN))
        self.commits = SharedBytes(int(3 * part / _WRITTEN))
        self.answers = AnswerRoom(3 * part, later)
        self.recent = RecentRoom(3 * part)
        self.locks_max = 12 * part // LOCK_BYTES
        self.streams_max = int(bytes_max * _FIXED_PART / 2) // _STREAM_BYTES
        self.used_bytes = 0  # when last looked at
        self.is_short = False

    def pools(self) -> dict[str, SharedBytes]:
        """Return the parts that are counted in bytes and shared between tenants, by name."""
        return {
            "requests": self.requests,
            "lanes": self.lanes,
            "staging": self.staging,
            "commits": self.commits,
            "answers": self.answers,
        }

    def look(self, used_bytes: int) -> None:
        """Learn how much the process has: near the bound the parts shrink."""
        self.used_bytes = used_bytes
        is_short = used_bytes > (_ENOUGH if self.is_short else _SHORT) * self.bytes_max
        if is_short == self.is_short:
            return
        self.is_short = is_short
        fields = {"used_bytes": used_bytes, "memory_bytes_max": self.bytes_max}
        _log.info("memory_short" if is_short else "memory_enough", extra=fields)
        for pool in self.pools().values():
            pool.is_short = is_short
        self.recent.is_short = is_short
        self.answers.grant()


class MemoryWatch:
    """Looks at the process's memory once a second."""

    def __init__(self, memory: NodeMemory, call_later: Callable[..., object]) -> None:
        self._memory = memory
        self._call_later = call_later
        self._is_stopped = False

    def start(self) -> None:
        """Look now and from now on."""
        if self._is_stopped:
            return
        self._memory.look(private_bytes())
        self._call_later(_WATCH_S, self.start)

    def stop(self) -> None:
        """Look no more."""
        self._is_stopped = True


def private_bytes() -> int:
    """Return the memory that this process has to itself; 0 where the system does not tell.

    Pages of the store's file are not among them: the system takes them back when it needs them.
    """
    try:
        status = _STATUS.read_text()
    except OSError:
        return 0
    _, found, rest = status.partition("RssAnon:")
    return int(rest.split(maxsplit=1)[0]) << 10 if found else 0
