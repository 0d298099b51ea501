"""Reads whose keys lie on several nodes: asked part by part, answered as one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kvapi.client import operations as ops
from kvapi.client.joined_reads import block_bytes, join_blocks, join_values, take_keys
from kvapi.client.results import Block, MultiGot
from kvapi.pb import kv_pb2
from kvapi.spans import Span

if TYPE_CHECKING:
    from kvapi.client.router import Router

_JOINED_BYTES_MAX: Final = 4 << 20  # of one scan's answer, as one node's


class SpanningReads:
    """MultiGet and Scan of one router.

    A read without a timestamp takes the newest snapshot of all nodes concerned: so it sees whatever
    any of them acknowledged before.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def _newest_ts(self, keys: Iterable[bytes]) -> int:
        """Return the newest snapshot of the nodes that hold `keys`: what any of them committed."""
        router = self._router
        reads = []
        for key in keys:
            request = kv_pb2.Request()
            request.get.key = key
            reads.append(router.ask(router.stream(router.holder(key)), ops.GET, request))
        return max(got.read_ts for got in await asyncio.gather(*reads))

    async def multi_get(self, request: kv_pb2.Request) -> MultiGot:
        """Ask each node for its keys, all at one snapshot."""
        router = self._router
        keys = request.multi_get.keys
        groups: dict[str, list[int]] = {}
        for position, key in enumerate(keys):
            groups.setdefault(router.holder(key), []).append(position)
        first_keys = [keys[positions[0]] for positions in groups.values()]
        read_ts = request.read_ts or await self._newest_ts(first_keys)
        parts = []
        for address, positions in groups.items():
            part = take_keys(request, positions, read_ts)
            parts.append(router.ask(router.stream(address), ops.MULTI_GET, part))
        answers = zip(groups.values(), await asyncio.gather(*parts), strict=True)
        return join_values(len(keys), list(answers), read_ts)

    async def scan(self, request: kv_pb2.Request) -> Block:
        """Go from node to node until the span or a limit is reached."""
        router = self._router
        part = kv_pb2.Request()
        part.CopyFrom(request)
        scan = part.scan
        span = Span(scan.start, scan.end)
        if not part.read_ts:
            known = {known.address: known.start for known in router.cache.overlapping(span)}
            part.read_ts = await self._newest_ts([*known.values(), span.start])
        blocks: list[Block] = []
        while True:
            stream = router.stream(router.holder_of_begin(span, reverse=scan.reverse))
            block: Block = await router.ask(stream, ops.SCAN_PART, part)
            blocks.append(block)
            if not block.more or not block.resume or _is_full(request.scan, blocks):
                return join_blocks(blocks)
            span = block.resume_span(span)
            scan.start, scan.end = span
            if scan.limit_rows:
                scan.limit_rows -= block.row_count
            if scan.limit_bytes:
                scan.limit_bytes = max(1, scan.limit_bytes - block_bytes(block))


def _is_full(scan: kv_pb2.Scan, blocks: list[Block]) -> bool:
    """Tell whether blocks fill what was asked for; where more is to come they hold a row."""
    row_count, size = sum(block.row_count for block in blocks), sum(map(block_bytes, blocks))
    if not row_count or scan.count_only:
        return False
    limit_bytes = scan.limit_bytes or _JOINED_BYTES_MAX
    return size >= limit_bytes or bool(scan.limit_rows and row_count >= scan.limit_rows)
