"""What the calling thread has used of the machine so far, as the operating system counts it."""

import resource
from typing import Final, NamedTuple

_BLOCK_BYTES: Final = 512  # getrusage(2): ru_oublock counts these


class ThreadUse(NamedTuple):
    """CPU time, and bytes of pages that were made dirty: what goes to disk with the next sync.

    Some file systems do not count pages (tmpfs): then the bytes stay at 0.
    """

    cpu_s: float
    written_bytes: int

    def since(self, before: "ThreadUse") -> "ThreadUse":
        """Return what was used after `before`."""
        return ThreadUse(self.cpu_s - before.cpu_s, self.written_bytes - before.written_bytes)


def thread_use() -> ThreadUse:
    """Return the use of the calling thread since it began; half a microsecond."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return ThreadUse(used.ru_utime + used.ru_stime, used.ru_oublock * _BLOCK_BYTES)
