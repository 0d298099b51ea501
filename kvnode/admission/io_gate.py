"""How much goes to the disk: bulk writes wait for tokens that follow the latency of commits.

**Model.** Every batch of group commit is measured: how long it took, how many bytes it held. Every
15 seconds `admission.io_tokens` makes of that how much the disk can take. All writes are charged;
bulk (staged chunks, moves, discards) waits here first, so that what is left of a slow disk goes to
commits; whose bulk goes next is `bulk_queue.py`'s. Where the bytes of commits are what makes the
disk slow, `write_gate.py` is fair among those. Bulk is held back for the commits that would wait
for its syncs: while there are none for `ALONE_S`, it is limited as commits are, by its bytes.

    batch ends ──► sample ──(15 s)──► tokens per second        none while the disk has room
    batch of bulk begins ──► tokens? ── no ──► later; ordinary batches go on meanwhile

Pages written are counted by the operating system; where it does not (a file system in memory), they
are estimated: LMDB copies the path to each row that changes.

**Invariants.** Bulk never starves, however much ordinary writes owe: a batch of it may begin
`BULK_PAUSE_S_MAX` after the last one. While it is held, a timer runs, for when the tokens that are
owed now will have dripped in: set again when some come back.

**Concurrency.** Owner: the event loop.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final

from admission.io_tokens import PATH_BYTES, IoConfig, IoSample, IoTier, IoTokens

BULK_PAUSE_S_MAX: Final = 1.0
ALONE_S: Final = 10.0  # without a commit: as long as tenants compete in `write_gate.py`
_WAIT_S_MIN: Final = 0.001
_PAGE_BYTES: Final = 4096
NOTHING: Final = (0.0, 0.0)  # was reserved, of either tier


class IoGate:
    """Measures the writer, and holds bulk back where the disk is slow."""

    def __init__(
        self,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
        *,
        latency_max_s: float,
        is_enabled: bool = True,
    ) -> None:
        self._now = now
        self._call_later = call_later
        self._timer: asyncio.TimerHandle | None = None  # while bulk is held
        self._again: Callable[[], None] = _ignore
        self._is_enabled = is_enabled
        self._config = IoConfig(latency_max_s=latency_max_s, page_bytes=_PAGE_BYTES)
        self.tokens = IoTokens(self._config, now_s=now())
        self._sample = IoSample()
        self._began_s = self._bulk_s = now()
        self._commit_s = -math.inf  # when the last one was seen
        self.on_refit: Callable[[], None] = _ignore
        self.bulk_wait_count = 0

    def try_bulk(self, again: Callable[[], None]) -> bool:
        """Tell whether a batch of bulk may begin; if not, `again` is called in time, once."""
        if (wait_s := self.bulk_wait_s()) > 0:
            self._again = again
            if self._timer is None:
                self.bulk_wait_count += 1
                self._timer = self._call_later(wait_s, self._release)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return not wait_s

    def look(self) -> None:
        """Take note that tokens came back: held bulk goes on as soon as there are enough."""
        if self._timer is not None:
            self._timer.cancel()
            wait_s = max(_WAIT_S_MIN, self.bulk_wait_s())
            self._timer = self._call_later(wait_s, self._release)

    def saw_commit(self) -> None:
        """Take note that somebody commits, who would wait for syncs of bulk."""
        self._commit_s = self._now()
        self.tokens.set_alone(False, now_s=self._commit_s)

    def bulk_wait_s(self) -> float:
        """Return how long the next batch of bulk has to wait."""
        if not self._is_enabled:
            return 0.0
        now_s = self._now()
        self._refit(now_s)
        self.tokens.set_alone(now_s - self._commit_s >= ALONE_S, now_s=now_s)
        if self.tokens.may_take(IoTier.ELASTIC, now_s=now_s):
            return 0.0
        pause_s = self._bulk_s + BULK_PAUSE_S_MAX - now_s
        if pause_s <= 0:
            return 0.0
        return max(_WAIT_S_MIN, min(self.tokens.wait_s(IoTier.ELASTIC), pause_s))

    def began(self, *, is_bulk: bool) -> None:
        """Take note that a batch is on its way."""
        self._began_s = self._now()
        if is_bulk:
            self._bulk_s = self._began_s

    def written(self, operation_count: int, size_bytes: int, counted_bytes: int = 0) -> int:
        """Return what a batch put on the disk: as it was counted, or a guess."""
        guess = size_bytes // _PAGE_BYTES * _PAGE_BYTES + PATH_BYTES * operation_count
        return counted_bytes or guess

    def ended(
        self,
        size_bytes: int,
        written_bytes: int,
        *,
        operation_count: int = 1,
        given: Sequence[float] = NOTHING,
    ) -> None:
        """Charge the batch that is durable now, for which `given` was reserved before."""
        now_s = self._now()
        self._sample.add(
            latency_s=now_s - self._began_s,
            size_bytes=size_bytes,
            pages=written_bytes // _PAGE_BYTES,
            operation_count=operation_count,
        )
        self.tokens.settle(given, written_bytes, now_s=now_s)
        self._refit(now_s)

    def _release(self) -> None:
        self._timer = None
        self._again()

    def _refit(self, now_s: float) -> None:
        if self._is_enabled and self.tokens.is_refit_due(now_s):
            sample, self._sample = self._sample, IoSample()
            self.tokens.refit(sample, now_s=now_s)
            self.on_refit()


def _ignore() -> None:
    return None
