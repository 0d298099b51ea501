"""Room at the end of the store's file, written before it is needed.

**Model.** A block that a file never had costs its first sync more than an overwritten one: the
file system allocates it, writes what it knows of the file, and (ext4) marks the block as written in
a kernel worker, which waits for a CPU behind whatever else runs: up to 20 ms were seen beside busy
neighbours, where the disk itself answers in 0.3 ms. So the file is kept `_ROOM_BYTES` longer than
what is in use. PostgreSQL does the same with the segments of its log.

    used ──────────┐ room ┐
    ├──────────────┼──────┤ end of file    less than `_ROOM_BYTES`? `_STEP_BYTES` of zeros, synced

**Invariants.** Only what lies behind the end of the file is written, and only by the thread that
writes the store, between two writes: nothing of the store is ever overwritten. Room is never
needed: where it cannot be had (a full disk), the store's own writes find out.
"""

import os
from pathlib import Path
from typing import Final

_ROOM_BYTES: Final = 2 << 20
_STEP_BYTES: Final = 1 << 20  # with its sync two milliseconds: a commit may come and wait for it


class FileRoom:
    """Keeps the file at `path` longer than the store in it. Owner: the thread that writes it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._end = os.fstat(self._fd).st_size
        self._is_refused = False

    def keep(self, used_bytes: int, *, limit_bytes: int) -> bool:
        """Write a step of zeros if less than the room is left behind `used_bytes`; tell if so."""
        if self._end - used_bytes >= _ROOM_BYTES or self._is_refused:
            return False
        self._end = max(self._end, os.fstat(self._fd).st_size)  # the store writes behind it too
        step = min(_STEP_BYTES, limit_bytes - self._end)
        if step <= 0 or self._end - used_bytes >= _ROOM_BYTES:
            return False
        try:
            self._end += os.pwrite(self._fd, bytes(step), self._end)
            os.fdatasync(self._fd)
        except OSError:
            self._is_refused = True  # the store goes on without, and says what is the matter
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
