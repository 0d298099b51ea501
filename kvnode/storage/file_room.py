"""Room at the end of the store's file, written before it is needed.

**Model.** A block that a file never had costs its first sync more than an overwritten one: the
file system allocates it, writes what it knows of the file, and (ext4) marks the block as written in
a kernel worker, which waits for a CPU behind whatever else runs: up to 20 ms were seen beside busy
neighbours, where the disk itself answers in 0.3 ms. So the file is kept `_ROOM_BYTES` longer than
what is in use. PostgreSQL does the same with the segments of its log.

    used ──────────┐ room ┐
    ├──────────────┼──────┤ end of file    less than `_ROOM_BYTES`? `_STEP_BYTES` of zeros, synced

On a disk that is slow to sync the zeros are left to the next commit: a sync more for each step
would cost bulk loads more than it saves.

**Invariants.** Only what lies behind the end of the file is written, and only by the thread that
writes the store, between two writes: nothing of the store is ever overwritten. Room is never
needed: where it cannot be had (a full disk), the store's own writes find out.
"""

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

_ROOM_BYTES: Final = 2 << 20
_STEP_BYTES: Final = 1 << 20  # with its sync two milliseconds: a commit may come and wait for it
_SLOW_S: Final = 0.01  # a sync
_UNSYNCED_STEPS: Final = 8  # after a slow one


class FileRoom:
    """Keeps the file at `path` longer than the store in it. Owner: the thread that writes it."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._end = os.fstat(self._fd).st_size
        self._is_refused = False
        self._unsynced = 0  # steps to come

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
            self._sync()
        except OSError:
            self._is_refused = True  # the store goes on without, and says what is the matter
            return False
        return True

    def _sync(self) -> None:
        if self._unsynced:
            self._unsynced -= 1
            return
        began_s = self._clock()
        os.fdatasync(self._fd)
        if self._clock() - began_s > _SLOW_S:
            self._unsynced = _UNSYNCED_STEPS

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
