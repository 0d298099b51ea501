"""Answers of several nodes to parts of one read, put together as one node would have said it."""

import struct
from collections.abc import Sequence

from kvapi.client.results import Block, MultiGot
from kvapi.pb import kv_pb2


def join_values(
    count: int, parts: Sequence[tuple[Sequence[int], MultiGot]], read_ts: int
) -> MultiGot:
    """Return `count` values; each part says at which positions its own belong."""
    values: list[bytes | None] = [None] * count
    commit_ts, found = [0] * count, bytearray(count)
    for positions, got in parts:
        for index, position in enumerate(positions):
            values[position] = got.values[index]
            commit_ts[position] = got.commit_ts[index]
            found[position] = got.found[index]
    return MultiGot(values, commit_ts, read_ts, bytes(found))


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Return blocks that follow one another as one; it goes on where the last one does."""
    last = blocks[-1]
    if len(blocks) == 1:
        return last
    return last._replace(
        row_count=sum(block.row_count for block in blocks),
        keys=b"".join(block.keys for block in blocks),
        key_ends=_joined_ends([(block.keys, block.key_ends) for block in blocks]),
        values=b"".join(block.values for block in blocks),
        value_ends=_joined_ends([(block.values, block.value_ends) for block in blocks]),
    )


def block_bytes(block: Block) -> int:
    """Return the bytes of a block's rows, as limits count them."""
    return len(block.keys) + len(block.values)


def take_keys(request: kv_pb2.Request, positions: Sequence[int], read_ts: int) -> kv_pb2.Request:
    """Return a MultiGet of some of the keys at one snapshot."""
    part = kv_pb2.Request()
    part.CopyFrom(request)
    part.read_ts = read_ts
    del part.multi_get.keys[:]
    keys = request.multi_get.keys
    part.multi_get.keys.extend([keys[position] for position in positions])
    return part


def _joined_ends(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return where each string ends in the joined bytes."""
    offset, ends = 0, list[int]()
    for joined, packed in parts:
        ends += [offset + end for end in struct.unpack(f"<{len(packed) // 4}I", packed)]
        offset += len(joined)
    return struct.pack(f"<{len(ends)}I", *ends)
