"""What an executing statement may look at: one transaction, its parameters, its session.

Owned by the session that runs the statement; executors read it, only `txn` is changed through it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pgwire.codecs.settings import Settings
from sqlnode.advisory_locks import SessionAdvisoryLocks
from sqlnode.catalog.snapshot import Catalog
from sqlnode.statement_stats import StatementStats
from sqlnode.txn import Transaction


class SequenceService(Protocol):
    """Sequences with their session state: currval, lastval (sqlnode/sequences.py)."""

    async def nextval(self, sequence_id: int) -> int: ...

    async def nextvals(self, sequence_id: int, count: int) -> list[int]: ...

    async def row_ids(self, table_id: int, count: int) -> Sequence[int]: ...

    async def currval(self, sequence_id: int) -> int: ...

    async def lastval(self) -> int: ...

    async def setval(self, sequence_id: int, value: int, is_called: bool) -> int: ...


@dataclass(slots=True)
class SessionInfo:
    """The part of a session that SQL can see."""

    user: str
    session_user: str
    database: str
    tenant: str
    backend_pid: int
    search_path: tuple[str, ...]  # as effective: pg_catalog implicit, "$user" resolved or left out
    variables: dict[str, str]  # every parameter SHOW knows, current values in text form
    client_address: str | None = None
    server_address: str | None = None
    server_port: int = 0
    application_name: str = ""
    wait_event: tuple[str, str] | None = None  # its type and name, while the session waits
    # The sessions of this process, as pg_stat_activity shows them.
    activity: "Callable[[], list[Activity]] | None" = None
    # Change a parameter (None: its default), True for the transaction only; the new value.
    set_config: Callable[[str, str | None, bool], str] | None = None
    statements: StatementStats | None = None  # of the process


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a session is doing."""

    info: SessionInfo
    state: str  # in PostgreSQL's words: active, idle, idle in transaction …
    query: str
    backend_start: int  # µs since 2000, as the others
    xact_start: int | None


@dataclass(slots=True)
class ExecContext:
    """One statement's execution."""

    txn: Transaction
    catalog: Catalog
    params: Sequence[Any]  # datums, $1 first
    settings: Settings  # for text input and output: time zone, date style…
    session: SessionInfo
    sequences: SequenceService
    txn_start_micros: int  # now(): µs since 2000
    statement_micros: int  # statement_timestamp()
    clock_micros: Callable[[], int]  # clock_timestamp()
    random: Callable[[], float]
    notice: Callable[[str, str], None]  # (severity, message)
    cancelled: Callable[[], bool] = field(default=lambda: False)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  # of pg_sleep, in seconds
    work_mem_bytes: int = 256 << 20
    # The statement is a whole transaction and nothing comes between it and the commit, so that
    # the commit may report duplicate keys (KeyExists → rowexec.constraint_errors).
    commit_follows: bool = False
    # Of a cursor: how many rows its client waits for (0: all), so that no others are locked.
    rows_wanted: int | None = None
    advisory: SessionAdvisoryLocks | None = None  # of the session, beyond transactions
