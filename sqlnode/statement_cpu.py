"""Whose CPU time it is: the process's, shared by the statements that run.

**Model.** One clock for the whole process, DuckDB's and Arrow's threads included, read where a
statement begins or ends. What passed between two readings belongs in equal parts to the statements
that were running; if there was none, it is the process's own.

    share()  the sum over time of 1 / running: what one statement that ran all along has used
    begin … end    the difference of that sum, so that neither costs more with many statements

A statement that runs alone is charged exactly what it used. Of several at once each is charged its
part by the time it ran, also while it waited; their sum is exact.

**Concurrency.** Owner: the process's loop.
"""

from collections.abc import Callable


class StatementCpu:
    """`clock_s` returns the CPU time of the process."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._read_s = clock_s()
        self._share_s = 0.0
        self._running = 0
        self.own_s = 0.0  # while nothing ran

    def begin(self) -> float:
        """Start to take part; return the mark for `lap` and `end`."""
        self._settle()
        self._running += 1
        return self._share_s

    def lap(self) -> float:
        """Return the mark of now: the difference of two is what was used between them."""
        self._settle()
        return self._share_s

    def end(self) -> float:
        """Stop to take part; return the mark of now."""
        self._settle()
        self._running -= 1
        return self._share_s

    def _settle(self) -> None:
        now_s = self._clock_s()
        passed_s = now_s - self._read_s
        self._read_s = now_s
        if self._running:
            self._share_s += passed_s / self._running
        else:
            self.own_s += passed_s
