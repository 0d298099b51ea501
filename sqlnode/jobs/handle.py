"""One job as the process that works on it holds it: the record, the lease, and how to give up."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kvapi.errors import KvError
from runtime.clock import Clock
from sqlnode.jobs.job_store import JobStore
from sqlnode.jobs.record import JobRecord

_MS: Final = 1_000_000


class JobLost(Exception):
    """Another process has taken the job over."""


class JobCancelled(Exception):
    """Somebody asked to give the job up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobConfig:
    """How long jobs are held, how often their records are written, and in what pieces they work."""

    lease_s: float = 6.0  # without a sign of life for so long another process takes over
    beat_s: float = 1.0
    poll_s: float = 2.0  # how often a process looks for jobs that nobody works on
    wait_s_max: float = 0.2  # between two looks whether older transactions have ended
    chunk_rows_max: int = 200  # of one transaction of a backfill


class JobHandle:
    """The owner's view of one job. Belongs to the task that works on it."""

    def __init__(
        self, store: JobStore, record: JobRecord, *, owner: str, clock: Clock, config: JobConfig
    ) -> None:
        self.store = store
        self.record = record
        self.owner = owner
        self.config = config
        self._clock = clock
        self._saved_s = clock.monotonic_s()
        self._lost_s = 0.0
        self.nudged = asyncio.Event()  # somebody of this process has asked for something

    def now_ms(self) -> int:
        """Return wall time."""
        return self._clock.now_ns() // _MS

    def stamped(self, record: JobRecord, **changes: Any) -> JobRecord:
        """Return a record with changes and the lease renewed. Raises: JobLost."""
        if record.owner != self.owner:
            raise JobLost
        now_ms = self.now_ms()
        until_ms = now_ms + int(self.config.lease_s * 1000)
        stamps = {"updated_ms": now_ms, "lease_until_ms": until_ms}
        return msgspec.structs.replace(record, **{**stamps, **changes})

    def saved(self, record: JobRecord) -> None:
        """Take over a record that was written."""
        self.record = record
        self._saved_s = self._clock.monotonic_s()

    async def save(self, **changes: Any) -> None:
        """Write changes and renew the lease. Raises: JobLost, KvError."""
        self.saved(
            await self.store.change(self.record.id, lambda found: self.stamped(found, **changes))
        )

    async def beat(self, **changes: Any) -> None:
        """Write changes if the last ones are some time ago, and look whether to go on.

        Raises: JobLost, JobCancelled, KvError.
        """
        is_due = self._clock.monotonic_s() - self._saved_s >= self.config.beat_s
        if is_due or self.nudged.is_set():
            self.nudged.clear()
            await self.save(**changes)
            self.check_cancel()

    def check_cancel(self) -> None:
        """Raise JobCancelled if somebody asked for it and there is something to give up."""
        if self.record.is_cancel_requested and self.record.status == "running":
            raise JobCancelled

    async def release(self) -> None:
        """Let another process take the job over at once: this one ends."""
        with contextlib.suppress(JobLost, KvError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self.save(owner="", lease_until_ms=0)


async def wait_for_versions(handle: JobHandle, look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `look` finds that nobody uses an older catalog; the record says so meanwhile.

    Raises: JobLost, JobCancelled, KvError.
    """
    pause_s = 0.002
    while not await look():
        if pause_s >= handle.config.wait_s_max and not handle.record.is_waiting:
            await handle.save(is_waiting=True)
        await handle.beat()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await handle.nudged.wait()
        pause_s = min(pause_s * 2, handle.config.wait_s_max)
    if handle.record.is_waiting:
        await handle.save(is_waiting=False)
