"""Which timestamps are so old in time that really passed, whatever the wall clock was set to.

**Model.** Every now and then the newest timestamp is noted with the monotonic clock. What was there
when a note was taken `age_s` ago is that old. A wall clock that jumps forward ages nothing; after a
restart nothing is old for the first `age_s`.
"""

from collections import deque


class ElapsedTimestamps:
    """Answers from notes; as many as are taken within `age_s`, and one more."""

    def __init__(self, *, age_s: float) -> None:
        self._age_s = age_s
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, newest_ts: int) -> int:
        """Take a note; return the newest timestamp that is known to be `age_s` old, or 0.

        >>> elapsed = ElapsedTimestamps(age_s=10.0)
        >>> [elapsed.note(s, ts) for s, ts in [(0.0, 5), (9.0, 70), (11.0, 80), (30.0, 90)]]
        [0, 0, 5, 80]
        """
        self._notes.append((now_s, newest_ts))
        while len(self._notes) > 1 and self._notes[1][0] <= now_s - self._age_s:
            self._notes.popleft()
        noted_s, ts = self._notes[0]
        return ts if noted_s <= now_s - self._age_s else 0
