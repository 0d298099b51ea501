"""Job records as rows of SHOW JOBS."""

from typing import Any, Final

from sqlnode.jobs.record import JobRecord
from sqlnode.plan.logical import Columns, OutColumn
from sqlnode.types import FLOAT8, INT8, TEXT, TIMESTAMPTZ

_EPOCH_MS: Final = 946_684_800_000
JOB_COLUMNS: Final[Columns] = tuple(
    OutColumn(n, name, sql_type)
    for n, (name, sql_type) in enumerate(
        (
            ("job_id", INT8),
            ("job_type", TEXT),
            ("description", TEXT),
            ("user_name", TEXT),
            ("status", TEXT),
            ("running_status", TEXT),
            ("created", TIMESTAMPTZ),
            ("finished", TIMESTAMPTZ),
            ("modified", TIMESTAMPTZ),
            ("fraction_completed", FLOAT8),
            ("error", TEXT),
            ("coordinator", TEXT),
        ),
        start=1,
    )
)


def _micros(unix_ms: int) -> int | None:
    return (unix_ms - _EPOCH_MS) * 1000 if unix_ms else None


def job_row(record: JobRecord) -> tuple[Any, ...]:
    """Return one row of SHOW JOBS."""
    running = None
    if not record.is_finished:
        running = record.step
        if record.is_waiting:
            running += ", waiting for older transactions"
        if record.is_cancel_requested:
            running += ", cancel requested"
    return (
        record.id,
        str(record.kind),
        record.statement,
        record.user,
        str(record.status),
        running,
        _micros(record.created_ms),
        _micros(record.finished_ms),
        _micros(record.updated_ms),
        record.fraction,
        None if record.error is None else record.error.message,
        record.owner or None,
    )
