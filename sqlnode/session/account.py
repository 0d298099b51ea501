"""A session's account: what was used since the last statement ended belongs to the next.

**Model.** The session's meter counts requests to the KV node as they are answered
(kvapi/client/meter.py). CPU time and bytes for the client are added when a statement ends, and the
whole is priced then. So Parse and Bind belong to the Execute after them, a failed statement pays
for what it did, and nothing is counted twice or left out: what remains when the session ends is
charged to the entry `<session>`.

**Concurrency.** Owner: the session's task. `wake` and `rest` enclose the time in which it works.
"""

from typing import Final

from sqlnode.planner import Plan
from sqlnode.ru_meter import RuMeter
from sqlnode.session.output import Output
from sqlnode.statement_cpu import StatementCpu
from sqlnode.statement_stats import MICRO, Entry, StatementStats
from sqlnode.statements import Statement

_SESSION: Final = "<session>"


class Account:
    """Charges the statements of one session."""

    __slots__ = ("_cpu", "_cpu_mark", "_mark", "_out", "_sent_bytes", "_stats", "is_awake", "meter")

    def __init__(
        self, meter: RuMeter, stats: StatementStats, cpu: StatementCpu, out: Output
    ) -> None:
        self.meter = meter
        self.is_awake = False
        self._stats = stats
        self._cpu = cpu
        self._cpu_mark = 0.0
        self._mark = meter.mark()
        self._out = out
        self._sent_bytes = 0

    def wake(self) -> None:
        """Begin to work."""
        if not self.is_awake:
            self.is_awake = True
            self._cpu_mark = self._cpu.begin()

    def rest(self) -> None:
        """Wait for the client."""
        if self.is_awake:
            self.is_awake = False
            self.meter.sql_cpu_s += self._cpu.end() - self._cpu_mark

    def lap(self) -> None:
        """Count the CPU time so far."""
        if self.is_awake:
            mark = self._cpu.lap()
            self.meter.sql_cpu_s += mark - self._cpu_mark
            self._cpu_mark = mark

    def succeeded(self, statement: Statement, plan: Plan, tag: str, exec_s: float) -> None:
        """Count a statement that ended; `tag`: of CommandComplete, empty while rows are left."""
        entry = self._entry(statement, plan)
        if tag:
            count = tag.rpartition(" ")[2]
            row_count = int(count) if count.isdecimal() else 0
            self._stats.called(entry, exec_s=exec_s, row_count=row_count)
        self._charge(entry)

    def failed(self, statement: Statement, plan: Plan | None) -> None:
        """Charge a statement that failed; it does not count as a call."""
        self._charge(self._stats.find(statement) if plan is None else self._entry(statement, plan))

    def close(self) -> None:
        """Charge what no statement was charged."""
        self.rest()
        self._charge(self._stats.entry(_SESSION))

    def _entry(self, statement: Statement, plan: Plan) -> Entry:
        entry: Entry | None = plan.stats
        if entry is None or not entry.is_kept:
            entry = plan.stats = self._stats.find(statement)
        return entry

    def _charge(self, entry: Entry) -> None:
        self.lap()
        meter, sent_bytes = self.meter, self._out.total_bytes
        meter.egress_bytes += sent_bytes - self._sent_bytes
        self._sent_bytes = sent_bytes
        ru, self._mark = meter.take(self._mark)
        if micro_ru := round(ru * MICRO):
            self._stats.charge(entry, micro_ru)
