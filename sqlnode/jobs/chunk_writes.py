"""A backfill's transactions: one for each chunk, which validates its rows, so that writers win.

A row that is written all the time is locked for the moment of its own transaction.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from kvapi.client.results import FOUND
from kvapi.errors import Deadlock, LockTimeout, WriteConflict
from sqlnode.jobs.work import Chunk, JobWork
from sqlnode.txn import TXN_ID_BYTES

_LOCK_MS: Final = 200  # a row that others hold longer is tried again later

Write = Callable[[Chunk, bytes], Awaitable[None]]
"""Commit what belongs to a chunk as the transaction of that id, unless a row has changed."""


async def write_chunk(work: JobWork, chunk: Chunk, write: Write) -> None:
    """Write for a chunk, a single row under its lock if need be. Raises: WriteConflict, …."""
    if not chunk.rows:
        return
    try:
        await write(chunk, os.urandom(TXN_ID_BYTES))
    except WriteConflict:
        if len(chunk.rows) > 1:
            raise
        await _write_locked(work, chunk, write)


async def _write_locked(work: JobWork, chunk: Chunk, write: Write) -> None:
    """Write for one row that changes all the time: nobody else may just now."""
    txn_id, kv = os.urandom(TXN_ID_BYTES), work.kv
    try:
        got = await kv.lock(
            chunk.keys,
            txn_id=txn_id,
            **chunk.planned,
            timeout_ms=_LOCK_MS,
            statement=f"job {work.handle.record.id}",
        )
        if got.found[0] != FOUND:
            return  # deleted
        value = got.values[0]
        assert value is not None, "a row that was found has a value"
        row = chunk.codec.decode_row(value)
        await write(replace(chunk, rows=[row], read_ts=got.read_ts, is_locked=True), txn_id)
    except (LockTimeout, Deadlock) as error:
        raise WriteConflict("the row is locked") from error
    finally:
        freed = kv.rollback(txn_id=txn_id)
        freed.add_done_callback(lambda done: done.cancelled() or done.exception())
