"""Reading and changing job records."""

from collections.abc import Callable
from typing import Final

import msgspec

from kvapi import layout
from kvapi.client.kv_client import KvClient
from kvapi.errors import CommitAmbiguous, ConnectionLost, KvError, WriteConflict
from pgwire.errors import ObjectNotInPrerequisiteState, UndefinedObject
from sqlnode.jobs.record import JobKind, JobRecord, decode_job, encode_job, key_of
from sqlnode.txn import Transaction

_TRIES: Final = 20
KEPT_MAX: Final = 200  # finished jobs; SHOW JOBS tells of no more

Begin = Callable[[], Transaction]
Change = Callable[[JobRecord], JobRecord]


class JobStore:
    """The records of one tenant's jobs."""

    def __init__(self, kv: KvClient, begin: Begin) -> None:
        """`begin` begins a serializable transaction that is planned against no catalog."""
        self._kv = kv
        self._begin = begin

    async def all(self) -> list[JobRecord]:
        """Return every record, oldest first. Raises: KvError."""
        records, span = [], layout.JOBS_SPAN
        while True:
            block = await self._kv.scan(span)
            records += [decode_job(value) for _, value in block.rows()]
            if not block.more:
                return records
            span = block.resume_span(span)

    async def find(self, job_id: int) -> JobRecord | None:
        """Return one record. Raises: KvError."""
        got = await self._kv.get(layout.job_key(job_id))
        return None if got.value is None else decode_job(got.value)

    async def get(self, job_id: int) -> JobRecord:
        """Return one record. Raises: UndefinedObject, KvError."""
        if not 0 < job_id < 1 << 32 or (record := await self.find(job_id)) is None:
            raise UndefinedObject(f"job with ID {job_id} does not exist")
        return record

    async def read_in(self, txn: Transaction, job_id: int) -> JobRecord:
        """Return a record as the transaction sees it; its commit validates that."""
        stored = await txn.get(layout.job_key(job_id))
        if stored is None:
            raise UndefinedObject(f"job with ID {job_id} does not exist")
        return decode_job(stored)

    async def change(self, job_id: int, change: Change) -> JobRecord:
        """Change a record, whoever else does so meanwhile. Raises: KvError, what `change` does."""
        for _ in range(_TRIES - 1):
            try:
                return await self._change(job_id, change)
            except (WriteConflict, ConnectionLost, CommitAmbiguous):
                continue  # setting the same fields again is harmless
        return await self._change(job_id, change)

    async def _change(self, job_id: int, change: Change) -> JobRecord:
        txn = self._begin()
        before = await self.read_in(txn, job_id)
        after = change(before)
        if after != before:
            txn.put(key_of(after), encode_job(after))
        await txn.commit()
        return after

    async def request_cancel(self, job_id: int) -> JobRecord:
        """Ask the owner to give a job up and roll it back.

        Raises: UndefinedObject, ObjectNotInPrerequisiteState.
        """

        def change(record: JobRecord) -> JobRecord:
            if record.is_finished:
                raise ObjectNotInPrerequisiteState(
                    f"job {job_id} has ended already: it is {record.status}"
                )
            if record.kind is JobKind.DROP_COLUMN:
                raise ObjectNotInPrerequisiteState(
                    f"job {job_id} cannot be canceled: what rows had in the column is not kept"
                )
            return msgspec.structs.replace(record, is_cancel_requested=True)

        return await self.change(job_id, change)

    async def forget_old(self) -> None:
        """Delete the records of what ended long ago, but for the newest."""
        finished = [record for record in await self.all() if record.is_finished]
        txn = self._begin()
        for record in finished[:-KEPT_MAX]:
            txn.delete(key_of(record))
        if txn.has_writes:
            try:
                await txn.commit()
            except KvError:
                return  # the next job tries again
