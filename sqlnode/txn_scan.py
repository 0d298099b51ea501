"""Scans of a transaction: blocks of the store, read one ahead, under the buffered writes."""

import asyncio
import struct
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol

from kvapi.client.results import Block
from kvapi.errors import InternalError
from kvapi.spans import Span
from sqlnode.own_writes import Scope
from sqlnode.throttle import Pace


class Reader(Protocol):
    """The transaction, as a scan sees it."""

    async def scan_once(
        self,
        span: Span,
        scope: Scope,
        *,
        reverse: bool,
        limit_rows: int,
        keys_only: bool,
    ) -> Block:
        """Read one block at the snapshot."""
        ...

    @property
    def pace(self) -> Pace | None:
        """Holds it back while the tenant is out of request units."""
        ...

    def record_span(self, span: Span) -> None:
        """Take note of what was read."""
        ...

    @property
    def read_ts(self) -> int:
        """The snapshot, which a refresh may move."""
        ...


async def store_blocks(
    reader: Reader, span: Span, scope: Scope, *, reverse: bool, limit_rows: int, keys_only: bool
) -> AsyncGenerator[Block, None]:
    """Yield the store's blocks; without a limit the next one is asked for while one is used."""
    remaining = limit_rows
    ahead: asyncio.Task[Block] | None = None

    async def read(rest: Span, limit: int) -> Block:
        return await reader.scan_once(
            rest, scope, reverse=reverse, limit_rows=limit, keys_only=keys_only
        )

    try:
        while True:
            block = await ahead if ahead is not None else await read(span, remaining)
            if ahead is not None and block.read_ts != reader.read_ts:
                block = await read(span, 0)  # a refresh moved the snapshot meanwhile
            ahead = None
            rest = _rest(span, block)
            reader.record_span(_covered(span, rest, reverse))
            remaining -= block.row_count
            if rest is None or (limit_rows and remaining <= 0):
                yield block
                return
            span = rest
            if reader.pace is not None and reader.pace.throttle.is_on:
                await reader.pace.go_on()
            if not limit_rows:
                ahead = asyncio.get_running_loop().create_task(read(span, 0), name="scan-ahead")
            yield block
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


async def overlaid(
    own: Mapping[bytes, bytes | None],
    span: Span,
    blocks: AsyncGenerator[Block, None],
    *,
    reverse: bool,
    limit_rows: int,
) -> AsyncGenerator[Block, None]:
    """Yield the blocks of `span` with the transaction's own writes laid over those of the store.

    `own` is the buffer as the scan began: a statement does not see what it writes while it scans.
    """
    remaining = limit_rows
    part: Span | None = span
    try:
        async for block in blocks:
            assert part is not None, "no block comes after the last one"
            rest = _rest(part, block)
            rows = _merged(block.rows(), own, _covered(part, rest, reverse), reverse=reverse)
            part = rest
            if limit_rows:
                rows = rows[:remaining]
                remaining -= len(rows)
            if rows:
                yield _packed(rows, block)
            if limit_rows and remaining <= 0:
                return
    finally:
        await blocks.aclose()


def _rest(span: Span, block: Block) -> Span | None:
    """Return what is still to be read of `span` after `block`, None: nothing."""
    if not block.more:
        return None
    if not block.row_count:
        raise InternalError("the KV node sent an empty block that is not the last")
    return block.resume_span(span)


def _covered(span: Span, rest: Span | None, reverse: bool) -> Span:
    """Return the part of `span` that was read if `rest` is still to be read."""
    if rest is None:
        return span
    return Span(rest.end, span.end) if reverse else Span(span.start, rest.start)


def _merged(
    rows: Sequence[tuple[bytes, bytes]],
    own: Mapping[bytes, bytes | None],
    part: Span,
    *,
    reverse: bool,
) -> list[tuple[bytes, bytes]]:
    """Return the rows of `part` with own writes instead of, and between, those of the store."""
    inside = {key: value for key, value in own.items() if part.contains(key)}
    if not inside:
        return list(rows)
    by_key: dict[bytes, bytes | None] = dict(rows)
    by_key.update(inside)
    keys = sorted(by_key, reverse=reverse)
    return [(key, value) for key in keys if (value := by_key[key]) is not None]


def _packed(rows: Sequence[tuple[bytes, bytes]], like: Block) -> Block:
    keys, values = [key for key, _ in rows], [value for _, value in rows]
    return Block(
        len(rows),
        b"".join(keys),
        _ends(keys),
        b"".join(values),
        _ends(values),
        like.more,
        like.read_ts,
        like.reverse,
    )


def _ends(parts: Sequence[bytes]) -> bytes:
    return struct.pack(f"<{len(parts)}I", *accumulate(map(len, parts)))
