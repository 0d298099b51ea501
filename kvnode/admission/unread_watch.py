"""Ends streams whose clients do not read, while others wait for the room they hold.

**Model.** A stream is watched from when its client pauses until it reads on. What is left unread is
noted with the time, and noted anew when a quarter of it has been read:

    somebody within its share is refused (`AnswerRoom.missing_bytes`)
        → a note is `unread_s_max` old: has a quarter been read since? ── yes → note what is left
                                              │ no
                                              ▼
          of those streams, whose tenant holds most, beyond its share: the oldest one is ended

What an ended stream holds besides its reads comes free when its transport is gone, `close_s_max`
later at most; until then it counts as given back, so that no more are ended than have to be.

**Invariants.** Nothing is ended, nor looked at, while nobody waits who is within its share; nor a
stream whose tenant is within its own, or whose client has read on lately. There is a timer only
while somebody waits and somebody pauses. A client that reads as slowly as it may resumes after
five times `unread_s_max`, and gets nothing new before.

**Concurrency.** Pure. Owner: the event loop.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from kvnode.admission.answer_room import AnswerRoom

_PROGRESS: Final = 0.25  # of what was unread
_CUTS_MAX: Final = 8  # in one turn of the loop
_LOOKS: Final = 8  # within `unread_s_max`, at most


class PausedStream(Protocol):
    """A stream whose client does not read."""

    tenant_id: int
    counted_bytes: int  # in the room besides its reads, until its transport is gone

    @property
    def is_ended(self) -> bool:
        """Whether it only waits for its transport."""
        ...

    def unread_bytes(self) -> int:
        """Return how much is left to read."""
        ...

    def cut_off(self) -> None:
        """End it."""
        ...


class UnreadWatch:
    """Watches paused streams. `call_later(s, what)` as the loop's."""

    def __init__(
        self,
        room: AnswerRoom,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        *,
        unread_s_max: float,
    ) -> None:
        self.unread_s_max = unread_s_max
        self.cut_count = 0  # streams that were ended for this
        self.beyond_bytes = 0  # of paused streams, not counted in the room
        self._room = room
        self._now = now
        self._call_later = call_later
        self._notes: OrderedDict[PausedStream, tuple[float, int]] = OrderedDict()  # s, bytes
        self._is_timed = False
        self._next_look_s = 0.0  # not before
        room.on_missing = self._arm

    def paused(self, stream: PausedStream, *, is_stale: bool = False) -> None:
        """Watch a stream from now on; `is_stale`: its client has read nothing for long already."""
        self._note(stream)
        if is_stale:
            noted_s, unread_bytes = self._notes[stream]
            self._notes[stream] = noted_s - self.unread_s_max, unread_bytes
            self._notes.move_to_end(stream, last=False)
        self._arm()

    def resumed(self, stream: PausedStream) -> None:
        """Forget it: its client has read on, or it is gone. Requires: it has paused."""
        del self._notes[stream]

    def _note(self, stream: PausedStream) -> None:
        self._notes[stream] = self._now(), stream.unread_bytes()
        self._notes.move_to_end(stream)

    def _arm(self) -> None:
        if self._is_timed or not self._room.missing_bytes or not self._notes:
            return
        self._is_timed = True
        oldest_s, _ = next(iter(self._notes.values()))
        due_s = max(oldest_s + self.unread_s_max, self._next_look_s)
        self._call_later(max(0.0, due_s - self._now()), self._look)

    def _look(self) -> None:
        """End what has to be; come back while somebody waits."""
        self._is_timed = False
        now_s = self._now()
        self._next_look_s = now_s + self.unread_s_max / _LOOKS
        stale = self._stale(now_s) if self._room.missing_bytes else []
        for _ in range(_CUTS_MAX):
            if (stream := self._worst(stale)) is None:
                break
            stale.remove(stream)
            stream.cut_off()
        else:
            self._next_look_s = now_s
        self._arm()

    def _leaving(self) -> Counter[int]:
        """Return what is about to come free, by tenant."""
        leaving = Counter[int]()
        for stream in self._notes:
            if stream.is_ended:
                leaving[stream.tenant_id] += stream.counted_bytes
        return leaving

    def _stale(self, now_s: float) -> list[PausedStream]:
        """Return the streams of which nothing was read for long, oldest first; note the others."""
        stale: list[PausedStream] = []
        moved: list[PausedStream] = []
        for stream, (noted_s, unread_bytes) in self._notes.items():
            if noted_s + self.unread_s_max > now_s:
                break
            if not stream.is_ended:
                is_moved = has_read(unread_bytes, stream.unread_bytes())
                (moved if is_moved else stale).append(stream)
        for stream in moved:
            self._note(stream)
        return stale

    def _worst(self, stale: list[PausedStream]) -> PausedStream | None:
        """Return the first stream of the tenant that is most beyond its share, if one has to go."""
        room, leaving = self._room, self._leaving()
        if room.missing_bytes <= leaving.total():
            return None
        of = {s.tenant_id: room.of(s.tenant_id) - leaving[s.tenant_id] for s in stale}
        beyond = [s for s in stale if not room.is_within(s.tenant_id, -leaving[s.tenant_id])]
        return max(beyond, key=lambda s: of[s.tenant_id], default=None)


def has_read(noted_bytes: int, unread_bytes: int) -> bool:
    """Tell whether a client has read on since it had `noted_bytes` unread."""
    return unread_bytes <= (1 - _PROGRESS) * noted_bytes
