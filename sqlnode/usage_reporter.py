"""Reports what the tenant's statements cost to the KV node, which keeps the bill.

**Model.** Every period, and when the process ends, what is new in the statement statistics goes out
in reports of bounded size. A report is made once and sent until it is answered, under one sequence,
so that it counts once whatever breaks. A process that is killed loses what it had not reported: one
period at most.

**Invariants.** An idle process reports nothing. The RU of a report's statements are exactly those
that their entries were charged since the last one.

**Concurrency.** One task; `flush` may be called beside it, one report is on its way at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from admission.cost_model import Usage, request_units
from kvapi.client.kv_client import KvClient
from kvapi.client.usage_calls import STATEMENTS_MAX, StatementCost, UsageCalls
from kvapi.errors import KvError
from runtime.tasks import spawn
from sqlnode.ru_meter import RuMeter
from sqlnode.statement_stats import MICRO, Entry, StatementStats

_log = logging.getLogger(__name__)
PERIOD_S: Final = 10.0
REPORTER_BYTES: Final = 8
_LAST_S_MAX: Final = 1.0  # for the report at the end of the process
_NAMES: Final = tuple(Usage.__dataclass_fields__)


class _Report(NamedTuple):
    sequence: int
    statements: list[StatementCost]
    used: dict[str, float]
    free_micro_ru: int
    latencies: list[int]
    token_client_id: int


class UsageReporter:
    """The reports of one process. `meter`: what is paid for; `background`: what is free so far."""

    def __init__(
        self,
        kv: KvClient,
        stats: StatementStats,
        *,
        meter: RuMeter,
        background: Callable[[], Usage],
        reporter: bytes,
        token_client_id: Callable[[], int],
        period_s: float = PERIOD_S,
    ) -> None:
        self._report = UsageCalls(kv.stream).report_usage
        self._stats = stats
        self._meter = meter
        self._background = background
        self._reporter = reporter
        self._token_client_id = token_client_id
        self._period_s = period_s
        self._sequence = 0
        self._reported = Usage()
        self._free_micro_ru = 0
        self._pending: _Report | None = None
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Begin to report."""
        self._task = spawn(self._run(), name="usage-reporter")

    async def close(self) -> None:
        """Report the rest, if the KV node answers soon."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            async with asyncio.timeout(_LAST_S_MAX):
                await self.flush()
        except (KvError, TimeoutError) as error:
            _log.info("usage_not_reported", extra={"error": str(error)})

    async def flush(self) -> None:
        """Report everything that is new. Raises: KvError."""
        async with self._sending:
            while self._pending is not None or self._stats.has_news:
                if self._pending is None:
                    self._pending = self._make()
                pending = self._pending
                await self._report(
                    pending.statements,
                    reporter=self._reporter,
                    sequence=pending.sequence,
                    used=pending.used,
                    free_micro_ru=pending.free_micro_ru,
                    latencies=pending.latencies,
                    token_client_id=pending.token_client_id,
                )
                self._pending = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            try:
                await self.flush()
            except KvError as error:
                _log.info("usage_postponed", extra={"error": str(error)})

    def _make(self) -> _Report:
        """Take what is new, as much as one report holds."""
        statements = [_taken(entry) for entry in self._stats.unreported(STATEMENTS_MAX)]
        usage = self._meter.usage()
        used = {
            name: more
            for name in _NAMES
            if (more := getattr(usage, name) - getattr(self._reported, name)) > 0
        }
        self._reported = usage
        free_micro_ru = round(request_units(self._background()) * MICRO)
        free_more = free_micro_ru - self._free_micro_ru
        self._free_micro_ru = free_micro_ru
        self._sequence += 1
        latencies = self._stats.take_latencies()
        client_id = self._token_client_id()
        return _Report(self._sequence, statements, used, free_more, latencies, client_id)


def _taken(entry: Entry) -> StatementCost:
    """Return what is new of an entry, and begin it anew."""
    cost = StatementCost(
        entry.query_id,
        entry.text,
        entry.new_calls,
        entry.new_rows,
        round(entry.new_exec_s * 1e6),
        entry.new_micro_ru,
    )
    entry.new_calls = entry.new_rows = entry.new_micro_ru = 0
    entry.new_exec_s = 0.0
    return cost
