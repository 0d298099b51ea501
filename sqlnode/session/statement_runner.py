"""Running one statement in its transaction, and again if nobody has seen it fail.

**Model.** An *attempt* plans, runs and, where the statement is a transaction of its own, commits.
If it fails in a way that another attempt may cure (a conflict, a changed schema, a lost connection)
and the client has seen nothing of it, its output is taken back and it runs again at a newer
snapshot:

- alone, or first in its block: with a new transaction;
- later in a block: if everything read before is unchanged (`retry_statement`), else 40001.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from kvapi.errors import ConnectionLost, KvError, SchemaChanged, SnapshotTooOld, WriteConflict
from sqlnode.rowexec.deferred_checks import check_deferred
from sqlnode.session.schema_follow import follow_at_commit, follow_schema
from sqlnode.session.session import Session
from sqlnode.txn import Mark

ATTEMPTS_MAX: Final = 12
_BACKOFF_S_MIN: Final = 0.001
_BACKOFF_S_MAX: Final = 0.1

Attempt = Callable[[], Awaitable[str]]
"""Plan and run; the result is the command tag."""


async def run_statement(
    session: Session, attempt: Attempt, *, is_whole: bool, can_retry: bool = True
) -> str:
    """Run one statement; `is_whole`: commit after it. Returns the command tag.

    `can_retry` is False for BEGIN, COMMIT and their kin, and FETCH (`Statement.can_retry`).

    Raises: SqlError, KvError.
    """
    block, out = session.block, session.out
    session.is_whole = is_whole
    if block.txn is None and session.engine.is_catalog_stale:
        await session.engine.reload()
    start = out.mark()
    tries = 0
    while True:
        mark = block.statement_mark()
        used = None if block.txn is None else block.txn.used.ids
        edited = block.catalog_mark()
        is_fresh = not block.statement_count and not block.has_savepoints
        try:
            tag = await attempt()
            if is_whole:
                await commit(session)
            elif block.txn is not None:
                block.statement_count += 1
            return tag
        except KvError as error:
            tries += 1
            is_unseen = can_retry and out.is_unseen_since(start)
            if isinstance(error, SnapshotTooOld) and block.past is not None:
                raise  # no newer snapshot is wanted
            if not (error.retryable and tries < ATTEMPTS_MAX and is_unseen):
                raise
            if not is_fresh:
                if block.txn is not None and used is not None:
                    block.txn.used.undo_to(used)
                    block.undo_edits(edited)
                await _go_on(session, error, mark)
            else:
                await block.restart()
                if isinstance(error, SchemaChanged):
                    await session.engine.reload()
            out.rewind(start)
            await _wait(session, error, tries)


async def _go_on(session: Session, error: KvError, mark: Mark | None) -> None:
    """Take a failed attempt inside a block back. Raises: the error where that is not possible."""
    txn = session.block.txn
    if mark is None or txn is None or txn.is_finished:
        raise error
    if isinstance(error, SchemaChanged):
        await follow_schema(session, mark)
    elif isinstance(error, WriteConflict):
        await txn.retry_statement(mark)
    else:
        raise error


async def _wait(session: Session, error: KvError, tries: int) -> None:
    if tries == 1 and not isinstance(error, ConnectionLost):
        return
    longest = min(_BACKOFF_S_MAX, _BACKOFF_S_MIN * 2**tries)
    await asyncio.sleep(longest * (0.5 + session.engine.random() / 2))


async def commit(session: Session) -> None:
    """Commit the running transaction, uninterrupted. Raises: KvError, SqlError."""
    block = session.block
    leaves_garbage = block.is_catalog_edited
    has_writes = block.txn is not None and block.txn.has_writes
    if has_writes and block.txn is not None:
        try:  # whatever fails here, the transaction is over afterwards
            if block.is_catalog_edited and not block.txn.keeps_previous:
                await follow_at_commit(session)
            if block.txn.deferred.pending:
                await check_deferred(session.context(()))
        except BaseException:
            await rollback(session)
            raise
    if has_writes:
        await session.guard.uninterrupted(block.commit)
    else:
        await block.commit()
    session.parameters_changed()
    if leaves_garbage:
        session.engine.garbage.notify()
    if session.portals:
        await session.close_portals()


async def rollback(session: Session) -> None:
    """Roll the running transaction back."""
    if session.portals:
        await session.close_portals()
    await session.block.rollback()
    session.parameters_changed()
