"""Jobs at work in one SQL process: its own, and those that their process left behind.

**Model.** A job belongs to the process whose name and lease are in its record. The process that
made it takes it at once. One that ends in order lets go of its jobs; one that dies lets the lease
lapse. Every process of the tenant looks for such jobs when it starts, and from time to time while
its catalog shows that something is under construction.

**Concurrency.** One task that looks, one task for each job at work. `stop` cancels them all.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kvapi.errors import CommitAmbiguous, KvError, Unavailable
from pgwire.sql_error import SqlError
from runtime.tasks import spawn
from sqlnode.catalog.snapshot import Catalog
from sqlnode.jobs.add_constraint import AddConstraint
from sqlnode.jobs.build_index import BuildIndex
from sqlnode.jobs.change_column import AddColumn, DropColumn
from sqlnode.jobs.fill_column import FillColumn
from sqlnode.jobs.handle import JobCancelled, JobConfig, JobHandle, JobLost
from sqlnode.jobs.job_store import JobStore
from sqlnode.jobs.record import JobError, JobKind, JobRecord, JobStatus
from sqlnode.jobs.work import JobWork
from sqlnode.kv_errors import sql_error
from sqlnode.txn import TXN_ID_BYTES, Transaction

if TYPE_CHECKING:
    from sqlnode.engine import Engine

_log = logging.getLogger(__name__)
JOBS_MAX: Final = 4  # at work in one process
_RETRY_S: Final = 0.3
_POLL_S: Final = 0.5  # of a record that another process works on


class JobRunner:
    """The jobs of one process. Belongs to its loop."""

    def __init__(self, engine: "Engine", *, owner: str, config: JobConfig) -> None:
        self.owner = owner
        self.config = config
        self._engine = engine
        self.store = JobStore(engine.kv, self._begin)
        self._wakeup = asyncio.Event()
        self._looking: asyncio.Task[Any] | None = None
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._handles: dict[int, JobHandle] = {}

    def _begin(self) -> Transaction:
        return Transaction(
            self._engine.kv, txn_id=self._engine.random_bytes(TXN_ID_BYTES), catalog_version=0
        )

    # --- for sessions -------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for jobs."""
        self._wakeup.set()
        self._looking = spawn(self._look(), name="jobs")

    def notify(self) -> None:
        """Look now: a job was made here."""
        self._wakeup.set()

    async def outcome(self, job_id: int) -> JobRecord:
        """Wait for a job's end, whoever works on it. Raises: the job's error."""
        while True:
            record = None
            with suppress(KvError):
                record = await self.store.find(job_id)
            if record is not None and record.is_finished:
                if record.error is not None:
                    raise as_sql_error(record.error)
                return record
            task = self._tasks.get(job_id)
            if task is None:
                self.notify()
                await asyncio.sleep(0.01 if record is None or record.owner == "" else _POLL_S)
            else:
                await asyncio.wait((task,), timeout=_POLL_S)

    async def cancel(self, job_id: int) -> JobRecord:
        """Ask for a job to be rolled back. Raises: UndefinedObject, …NotInPrerequisiteState."""
        record = await self.store.request_cancel(job_id)
        if (handle := self._handles.get(job_id)) is not None:
            handle.nudged.set()
        self.notify()
        return record

    async def stop(self) -> None:
        """Let go of every job: another process goes on with them."""
        tasks = [task for task in (self._looking, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- looking ------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.poll_s):
                    await self._wakeup.wait()
            if not self._wakeup.is_set() and not is_under_construction(self._engine.catalog):
                continue
            self._wakeup.clear()
            try:
                await self._take()
            except KvError as error:
                _log.info("jobs_postponed", extra={"error": str(error)})

    async def _take(self) -> None:
        for record in await self.store.all():
            if len(self._tasks) >= JOBS_MAX:
                return
            if record.is_finished or record.id in self._tasks:
                continue
            now_ms = self._engine.clock.now_ns() // 1_000_000
            if record.is_free(self.owner, now_ms):
                self._tasks[record.id] = spawn(self._run(record), name=f"job-{record.id}")

    # --- working ------------------------------------------------------------------------------

    async def _run(self, record: JobRecord) -> None:
        handle = JobHandle(
            self.store, record, owner=self.owner, clock=self._engine.clock, config=self.config
        )
        self._handles[record.id] = handle
        extra = {"job_id": record.id, "kind": str(record.kind)}
        try:
            await self._claim(handle)
            _log.info("job_taken", extra=extra)
            await self._carry_on(handle)
            _log.info("job_ended", extra={**extra, "status": str(handle.record.status)})
            await self.store.forget_old()
        except JobLost:
            _log.info("job_lost", extra=extra)
        except KvError as error:
            _log.info("job_postponed", extra={**extra, "error": str(error)})
        except asyncio.CancelledError:
            await handle.release()
            raise
        finally:
            self._tasks.pop(record.id, None)
            self._handles.pop(record.id, None)

    async def _claim(self, handle: JobHandle) -> None:
        def claimed(found: JobRecord) -> JobRecord:
            if found.is_finished or not found.is_free(self.owner, handle.now_ms()):
                raise JobLost
            return handle.stamped(msgspec.structs.replace(found, owner=self.owner))

        handle.saved(await self.store.change(handle.record.id, claimed))

    async def _carry_on(self, handle: JobHandle) -> None:
        """Work until the job has ended. Raises: JobLost, KvError that does not go away."""
        while not handle.record.is_finished:
            work = JobWork(self._engine, handle)
            machine = _machine(work)
            try:
                if handle.record.status is JobStatus.REVERTING:
                    await machine.revert(_final(handle.record))
                    continue
                handle.check_cancel()
                await machine.run()
            except JobCancelled:
                await handle.save(status=JobStatus.REVERTING, is_waiting=False)
            except SqlError as error:
                await self._failed(handle, error)
            except KvError as error:
                await self._again(handle, error)

    async def _failed(self, handle: JobHandle, error: SqlError) -> None:
        _log.info("job_failed", extra={"job_id": handle.record.id, "error": error.message})
        if handle.record.status is JobStatus.REVERTING:  # nothing worse can happen to it
            await asyncio.sleep(_RETRY_S)
        changes = {} if handle.record.error else {"error": _as_job_error(error)}
        await handle.save(status=JobStatus.REVERTING, is_waiting=False, **changes)

    async def _again(self, handle: JobHandle, error: KvError) -> None:
        """Wait, then look at the record: what was in flight may have been done."""
        if not (error.retryable or isinstance(error, CommitAmbiguous | Unavailable)):
            await self._failed(handle, sql_error(error, self._engine.catalog))
            return
        await asyncio.sleep(_RETRY_S)
        handle.record = await self.store.get(handle.record.id)
        handle.stamped(handle.record)


def _machine(work: JobWork) -> BuildIndex | AddConstraint | AddColumn | DropColumn | FillColumn:
    match work.handle.record.kind:
        case JobKind.CREATE_INDEX:
            return BuildIndex(work)
        case JobKind.ADD_COLUMN:
            return AddColumn(work)
        case JobKind.DROP_COLUMN:
            return DropColumn(work)
        case JobKind.FILL_COLUMN | JobKind.ALTER_TYPE:
            return FillColumn(work)
        case _:
            return AddConstraint(work)


def _final(record: JobRecord) -> JobStatus:
    return JobStatus.CANCELED if record.error is None else JobStatus.FAILED


def is_under_construction(catalog: Catalog) -> bool:
    """Tell whether some table is being changed by a job."""
    return any(
        table.building
        or any(part.in_job for part in table.row_constraints)
        or any(column.refuses_null or column.state for column in table.columns)
        for table in catalog.tables()
    )


def _as_job_error(error: SqlError) -> JobError:
    return JobError(
        error.sqlstate,
        error.message,
        error.detail,
        error.hint,
        error.table_name,
        error.constraint_name,
        error.column_name,
    )


def as_sql_error(error: JobError) -> SqlError:
    """Return a job's error for the statement that waits for it."""
    return SqlError(
        error.message,
        sqlstate=error.sqlstate,
        detail=error.detail,
        hint=error.hint,
        table_name=error.table_name,
        constraint_name=error.constraint_name,
        column_name=error.column_name,
    )
