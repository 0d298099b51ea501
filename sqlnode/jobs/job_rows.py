"""Job records as rows of pg_insula.jobs and of SHOW JOBS, which has the same columns."""

from typing import Any, Final

from sqlnode.catalog.system import definitions as _definitions  # noqa: F401 - fills VIRTUAL
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.jobs.record import JobRecord
from sqlnode.plan.logical import Columns, OutColumn

_EPOCH_MS: Final = 946_684_800_000
JOB_COLUMNS: Final[Columns] = tuple(
    OutColumn(n, name, sql_type)
    for n, (name, sql_type) in enumerate(VIRTUAL["pg_insula.jobs"].columns, start=1)
)


def _micros(unix_ms: int) -> int | None:
    return (unix_ms - _EPOCH_MS) * 1000 if unix_ms else None


def job_fields(record: JobRecord) -> dict[str, Any]:
    """Return one row of pg_insula.jobs and SHOW JOBS by column."""
    running = None
    if not record.is_finished:
        running = record.step
        if record.is_waiting:
            running += ", waiting for older transactions"
        if record.is_cancel_requested:
            running += ", cancel requested"
    return {
        "job_id": record.id,
        "job_type": str(record.kind),
        "description": record.statement,
        "relid": record.table_id,
        "user_name": record.user,
        "status": str(record.status),
        "running_status": running,
        "created": _micros(record.created_ms),
        "finished": _micros(record.finished_ms),
        "modified": _micros(record.updated_ms),
        "fraction_completed": record.fraction,
        "error": None if record.error is None else record.error.message,
        "coordinator": record.owner or None,
    }
