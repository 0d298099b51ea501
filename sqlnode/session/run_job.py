"""A statement that is a job: it begins the job, waits for it, and reports how it ended.

**Model.** The beginning (the descriptor's first state and the job's record) is one transaction; if
others still work with an older state of what it changes, the statement waits for them and begins
anew. A cancelled statement cancels its job; if only the client is gone, the job goes on.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kvapi.errors import KvError, SchemaChanged
from pgwire.errors import InsufficientPrivilege, QueryCanceled
from pgwire.sql_error import SqlError
from runtime.tasks import spawn
from sqlnode.ddl.context import OnlineChange
from sqlnode.engine import Engine
from sqlnode.jobs.job_rows import job_fields
from sqlnode.jobs.record import JobRecord, JobStatus, encode_job, key_of
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.parse import utility as u
from sqlnode.session.session import Session
from sqlnode.session.statement_runner import commit

_log = logging.getLogger(__name__)


async def run_job(session: Session, change: OnlineChange, text: str) -> None:
    """Commit the beginning of a change and wait for its end. Raises: SqlError, KvError."""
    engine, block, txn = session.engine, session.block, session.block.txn
    assert txn is not None, "the change was begun in a transaction"
    assert block.editor is not None, "by changing the catalog"
    base = block.editor.base
    if not engine.older.are_over(block.editor) and not await engine.older.look(base):
        timeout_ms = lock_timeout_ms(session.context(()))
        await block.restart()  # others who wait must not wait for this one
        await engine.older.wait(base, timeout_ms=timeout_ms)
        raise SchemaChanged("the catalog may have changed meanwhile: the statement begins anew")
    now_ms = engine.clock.now_ns() // 1_000_000
    record = JobRecord(
        id=await engine.allocate_id(),
        kind=change.kind,
        statement=text,
        user=session.info.user,
        table_id=change.table_id,
        part=change.part,
        step=change.step,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    txn.put(key_of(record), encode_job(record))
    txn.keeps_previous = True
    await commit(session)
    engine.jobs.notify()
    try:
        ended = await engine.jobs.outcome(record.id)
    except asyncio.CancelledError:
        if session.guard.is_cancelled:
            spawn(_cancel(engine, record.id), name="cancel-job")
        raise
    if ended.status is JobStatus.CANCELED:
        raise QueryCanceled(f"job {record.id} was canceled")


async def _cancel(engine: Engine, job_id: int) -> None:
    with suppress(SqlError):  # it has ended meanwhile
        try:
            await engine.jobs.cancel(job_id)
        except KvError as error:
            _log.info("job_not_canceled", extra={"job_id": job_id, "error": str(error)})


async def job_rows(session: Session, node: u.ShowJobs) -> Sequence[tuple[Any, ...]]:
    """Return the rows of SHOW JOBS, newest first. Raises: UndefinedObject, KvError."""
    store = session.engine.jobs.store
    if node.job_id is not None:
        records = [await store.get(node.job_id)]
    else:
        records = await store.all()
    return [tuple(job_fields(record).values()) for record in reversed(records)]


async def cancel_job(session: Session, node: u.CancelJob) -> str:
    """CANCEL JOB: the job rolls back. Raises: UndefinedObject, InsufficientPrivilege, ...."""
    engine, user = session.engine, session.info.user
    record = await engine.jobs.store.get(node.job_id)
    is_superuser = any(r.superuser for r in engine.catalog.roles if r.name == user)
    if record.user != user and not is_superuser:
        raise InsufficientPrivilege(f"must be owner of job {node.job_id}")
    await engine.jobs.cancel(node.job_id)
    return "CANCEL JOB"
