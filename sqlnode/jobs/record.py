"""The record of one job: what is to be done, how far it is, and who is at it.

**Model.**

    running ──► succeeded
       │ error, CANCEL JOB
       ▼
    reverting ──► failed, canceled

A record changes only by a transaction that read it first, so two processes never both make the
same step. `step` is the last one that is done; `resume_key` is where the work of the present one
goes on. Encoded as MessagePack, a map, so that fields can be added.
"""

import enum
from typing import Final

import msgspec

from kvapi import layout


class JobKind(enum.StrEnum):
    """What a job does; the words of SHOW JOBS."""

    CREATE_INDEX = "CREATE INDEX"
    ADD_CHECK = "ADD CHECK"
    ADD_FOREIGN_KEY = "ADD FOREIGN KEY"
    ADD_NOT_VALID = "ADD NOT VALID"
    VALIDATE_CONSTRAINT = "VALIDATE CONSTRAINT"
    SET_NOT_NULL = "SET NOT NULL"
    ADD_COLUMN = "ADD COLUMN"
    DROP_COLUMN = "DROP COLUMN"
    FILL_COLUMN = "ADD COLUMN WITH DEFAULT"
    ALTER_TYPE = "ALTER COLUMN TYPE"


class JobStatus(enum.StrEnum):
    """See the module's diagram."""

    RUNNING = "running"
    REVERTING = "reverting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


FINISHED: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED})


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed, as its statement reports it."""

    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    table_name: str | None = None
    constraint_name: str | None = None
    column_name: str | None = None


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    id: int
    kind: JobKind
    statement: str
    user: str
    table_id: int
    part: int  # index id, constraint OID or attnum
    created_ms: int  # since 1970, as all times here
    updated_ms: int
    status: JobStatus = JobStatus.RUNNING
    step: str  # IndexState, ColumnState, or "enforced" of a constraint
    is_waiting: bool = False  # for transactions that began with an older catalog
    row_count: int = 0  # done, in the present step
    rows_total: int = 0  # estimated
    resume_key: bytes = b""
    key_id: int = 0  # of the table's keys that `resume_key` is one of
    error: JobError | None = None
    is_cancel_requested: bool = False
    owner: str = ""  # the process at work
    lease_until_ms: int = 0  # when others may take it over
    finished_ms: int = 0

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def fraction(self) -> float:
        """How much of the work is done, from 0 to 1."""
        if self.status is JobStatus.SUCCEEDED:
            return 1.0
        return min(self.row_count / self.rows_total, 1.0) if self.rows_total else 0.0

    def is_free(self, owner: str, now_ms: int) -> bool:
        """Tell whether `owner` may work on it now."""
        return self.owner in ("", owner) or self.lease_until_ms < now_ms


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(JobRecord)


def encode_job(record: JobRecord) -> bytes:
    """Encode for storage."""
    return _encoder.encode(record)


def decode_job(stored: bytes) -> JobRecord:
    """Decode what encode_job wrote. Raises: msgspec.DecodeError on a damaged record."""
    return _decoder.decode(stored)


def key_of(record: JobRecord) -> bytes:
    """Return the key a record is stored under."""
    return layout.job_key(record.id)
