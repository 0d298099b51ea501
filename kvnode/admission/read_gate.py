"""The long reads of one stream: which are under way, and which wait for what.

**Model.** A read *enters* when it begins: it takes one of its stream's slots, and room for its
answer. Before that, and once more while the client does not read its answers, it may have to wait:

    look ─┬─ may enter ────────────────────────────► run, a quantum at a time ──► leave
          │                                               ▲          │ client paused
          └─► waiting ──► slot free, not paused:          │          ▼
              in order    claim room for the first ──► entered    stopped ──► resumed
                          (`answer_room.py`)

What is waited for is handed over: the read that has a slot and room is entered at once, then queued
for its turn. So a slot wakes one read, and whoever is woken finds what it waited for; if it is
cancelled before its turn, it leaves, and that wakes the next.

Elastic reads wait beside the others, which go first but for one in `_PASSES_MAX`.

**Invariants.** Reads of one kind enter in the order in which they came to wait. If reads wait, the
stream is paused, or its slots are taken, or it claims room. Stopped reads wait for the client only.
A read that waits is looked at once before and once after, and again for each time its client stops
reading. Every operation is O(1), but for what the room takes (O(log tenants)), and what enters.

**Concurrency.** Pure. Owner: the event loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kvnode.admission.answer_room import AnswerRoom
from kvnode.admission.task import Task

_PASSES_MAX: Final = 8


class Read(Task):
    """A task that enters a gate when it begins, and leaves it when it is over."""

    answer_bytes = 0  # what it will gather, as far as that is known at first
    has_entered = False
    gate: ReadGate

    def is_blocked(self) -> bool:
        """Tell whether to wait: for the client to read on, or for what other reads have."""
        return self.gate.is_paused if self.has_entered else not self.gate.admits(self)

    def wait(self) -> None:
        """Wait in the gate."""
        self.gate.wait(self)


class ReadGate:
    """Gate of one stream. `wake` queues a read that may go on."""

    def __init__(self, room: AnswerRoom, wake: Callable[[Task], None], *, entered_max: int) -> None:
        self.tenant_id = 0  # known with the hello
        self.entered = 0
        self.is_paused = False  # the client does not read its answers
        self._room = room
        self._wake = wake
        self._entered_max = entered_max
        self._waiting: tuple[OrderedDict[Read, None], ...] = (OrderedDict(), OrderedDict())
        self._passed = 0  # regular reads before elastic ones that wait
        self._stopped: dict[Read, None] = {}
        self._is_claiming = False
        self._is_closed = False

    def admits(self, read: Read) -> bool:
        """Tell whether a read may enter now."""
        regular, elastic = self._waiting
        if self._is_closed:
            return True  # what comes now ends soon
        if self.is_paused or regular or elastic or self.entered >= self._entered_max:
            return False
        size_bytes = read.answer_bytes
        return not size_bytes or self._room.is_free_for(self.tenant_id, size_bytes)

    def enter(self, read: Read) -> None:
        """Let a read begin."""
        read.has_entered = True
        self.entered += 1
        if read.answer_bytes:
            self._room.add(self.tenant_id, read.answer_bytes)

    def wait(self, read: Read) -> None:
        """Let a read wait for what it lacks, and wake it then. Requires: it `is_blocked`."""
        if read.has_entered:
            self._stopped[read] = None
        else:
            self._waiting[read.is_elastic][read] = None
            self._advance()

    def leave(self, read: Read) -> None:
        """Forget a read that is over, wherever it is; what it had goes to the next."""
        if read.has_entered:
            read.has_entered = False
            self._stopped.pop(read, None)
            self.entered -= 1
            if read.answer_bytes:
                self._room.add(self.tenant_id, -read.answer_bytes)
        else:
            self._waiting[read.is_elastic].pop(read, None)
        self._advance()

    def pause(self) -> None:
        """Learn that the client does not read its answers."""
        if not self._is_closed:
            self.is_paused = True
            self._advance()

    def resume(self) -> None:
        """Learn that it does again: those that were under way are woken first."""
        self.is_paused = False
        stopped, self._stopped = self._stopped, {}
        for read in stopped:
            self._wake(read)
        self._advance()

    def close(self) -> None:
        """Wake nobody any more: the stream is closed, and its reads are about to leave."""
        self._is_closed, self.is_paused = True, False
        self._advance()

    @property
    def next_bytes(self) -> int:
        """What the next read needs."""
        read = self._next()
        assert read is not None, "who claims room has a read for it"
        return read.answer_bytes

    def enter_next(self) -> None:
        """Let the next read enter: there is room for it, and the claim is over."""
        self._is_claiming = False
        self._let_in(self._next())
        self._advance()

    def _next(self) -> Read | None:
        """Return the read that is to enter next."""
        regular, elastic = self._waiting
        if elastic and (not regular or self._passed >= _PASSES_MAX):
            return next(iter(elastic))
        return next(iter(regular)) if regular else None

    def _let_in(self, read: Read | None) -> None:
        assert read is not None, "somebody waits"
        self._passed = self._passed + 1 if self._waiting[True] and not read.is_elastic else 0
        del self._waiting[read.is_elastic][read]
        self._wake(read)
        self.enter(read)

    def _advance(self) -> None:
        """After any change: let in what needs no room, and claim it for the next that does."""
        while (read := self._candidate()) is not None and not read.answer_bytes:
            self._let_in(read)
        if read is not None and not self._is_claiming:
            self._is_claiming = True
            self._room.claim(self)
        elif read is not None:
            self._room.changed(self)
        elif self._is_claiming:
            self._is_claiming = False
            self._room.withdraw(self)

    def _candidate(self) -> Read | None:
        """Return the next read if nothing but room may be missing."""
        if self.is_paused or self._is_closed or self.entered >= self._entered_max:
            return None
        return self._next()
