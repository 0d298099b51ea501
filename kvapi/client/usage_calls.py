"""ReportUsage: what a process's statements cost, for the bill."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kvapi.client import operations as ops
from kvapi.client.request_stream import RequestStream

STATEMENTS_MAX = 200  # of one report


class StatementCost(NamedTuple):
    """What one kind of statement cost; `micro_ru`: millionths of a request unit."""

    query_id: int
    text: str
    calls: int
    row_count: int
    exec_us: int
    micro_ru: int


class UsageCalls:
    """The usage operations of one client; they concern the home node only."""

    def __init__(self, stream: RequestStream) -> None:
        self._stream = stream

    def report_usage(
        self,
        statements: Iterable[StatementCost],
        *,
        reporter: bytes,
        sequence: int,
        used: Mapping[str, float],
        free_micro_ru: int,
        latencies: Sequence[int] = (),
        token_client_id: int = 0,
    ) -> asyncio.Future[None]:
        """Report; durable when the future is done. The same sequence again changes nothing.

        `latencies`: how long statements took, in the buckets of kvapi/latency.py.
        `token_client_id`: as whom the process has asked for tokens, if it has.
        """
        future = asyncio.get_running_loop().create_future()
        rows = list(statements)
        size = 256 + sum(4 * len(row.text) + 64 for row in rows)
        request = self._stream.request(ops.REPORT_USAGE, future, size)
        report = request.report_usage
        report.reporter, report.sequence = reporter, sequence
        report.free_micro_ru, report.token_client_id = free_micro_ru, token_client_id
        for row in rows:
            report.statements.add(
                query_id=row.query_id,
                text=row.text,
                calls=row.calls,
                row_count=row.row_count,
                exec_us=row.exec_us,
                micro_ru=row.micro_ru,
            )
        report.latency_counts.extend(latencies)
        for name, count in used.items():
            setattr(report.used, name, count)
        return future
