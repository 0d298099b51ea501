"""ReportUsage of one stream: what its statements cost goes to the tenant's bill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kvapi.errors import BadRequest, KvError
from kvapi.latency import BUCKETS
from kvapi.pb import kv_pb2
from kvnode.storage.engine import WriteTxn
from kvnode.tenants.usage import (
    DAY_S,
    REPORTER_BYTES,
    MonthUsage,
    StatementUsage,
    UsageReport,
    record_usage,
)
from kvnode.txn.operations import SystemOperation

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

STATEMENTS_PER_REPORT_MAX: Final = 200  # one quantum of the writer
TEXT_CHARS_MAX: Final = 4_096
_COUNT_MAX: Final = 1e15  # of one report
_COUNTER_MAX: Final = 10**18  # of one report: a million million request units
_SEQUENCE_MAX: Final = (1 << 63) - 1


class UsageRequests:
    """Answers `ReportUsage`. A stream has one report on its way at a time."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._is_writing = False

    def report(self, request: kv_pb2.Request) -> None:
        """Write a report; answer when it is durable. Raises: BadRequest."""
        session, core, request_id = self._session, self._session.core, request.id
        tenant = session.tenant
        if self._is_writing:
            raise BadRequest("a report of this stream is being written")
        report = _parse(request.report_usage)
        day = int(core.now_s()) // DAY_S
        micro_ru = sum(statement.micro_ru for statement in report.statements)
        session.track(request_id, lambda _: None)  # a report cannot be taken back
        self._is_writing = True

        client_id = request.report_usage.token_client_id  # on any stream, be it new
        months: list[MonthUsage | None] = []

        def work(txn: WriteTxn) -> None:
            months.append(record_usage(txn, tenant.prefix, day, report))

        def finish(error: KvError | None) -> None:
            if error is None and (month := months[-1]) is not None:
                core.buckets.billed(tenant, client_id, micro_ru, month)
            self._written(request_id, error)

        core.scheduler.loads.reported(
            tenant.id,
            calls=sum(statement.calls for statement in report.statements),
            micro_ru=micro_ru,
            latencies=list(request.report_usage.latency_counts[:BUCKETS]),
            now_s=core.scheduler.now(),
            sql_cpu_s=report.used.get("sql_cpu_s", 0.0),
        )
        size = request.report_usage.ByteSize()
        core.group.submit(SystemOperation(tenant.id, work, finish, size_bytes=size))

    def _written(self, request_id: int, error: KvError | None) -> None:
        session = self._session
        self._is_writing = False
        session.outstanding.pop(request_id)
        if session.is_closed:
            return
        if error is not None:
            session.answer_error(request_id, error)
        else:
            session.respond(request_id).done.SetInParent()


def _counters(message: kv_pb2.ReportUsage) -> Iterator[int]:
    yield message.free_micro_ru
    for one in message.statements:
        yield max(one.calls, one.row_count, one.exec_us, one.micro_ru)


def _parse(message: kv_pb2.ReportUsage) -> UsageReport:
    if len(message.reporter) != REPORTER_BYTES or not 0 < message.sequence <= _SEQUENCE_MAX:
        raise BadRequest("a report needs its reporter and a sequence")
    if len(message.statements) > STATEMENTS_PER_REPORT_MAX:
        limit = STATEMENTS_PER_REPORT_MAX
        raise BadRequest(f"a report has at most {limit} statements")
    used = {field.name: count for field, count in message.used.ListFields()}
    if not all(0 <= count <= _COUNT_MAX for count in used.values()):  # NaN is refused as well
        raise BadRequest(f"what was used must be from 0 to {_COUNT_MAX:g}")
    if any(count > _COUNTER_MAX for count in _counters(message)):
        raise BadRequest(f"counters must be from 0 to {_COUNTER_MAX:g}")
    return UsageReport(
        reporter=message.reporter,
        sequence=message.sequence,
        statements=[
            StatementUsage(
                query_id=statement.query_id,
                text=statement.text[:TEXT_CHARS_MAX],
                calls=statement.calls,
                row_count=statement.row_count,
                exec_us=statement.exec_us,
                micro_ru=statement.micro_ru,
            )
            for statement in message.statements
        ],
        used=used,
        free_micro_ru=message.free_micro_ru,
    )
