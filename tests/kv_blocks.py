"""Reading packed blocks in tests."""

import struct
from itertools import pairwise


def cut(joined, ends):
    """Return the parts of `joined`."""
    bounds = [0, *struct.unpack(f"<{len(ends) // 4}I", ends)]
    return [joined[a:b] for a, b in pairwise(bounds)]


def block_rows(block):
    """Return (key, value) of every row."""
    return list(
        zip(cut(block.keys, block.key_ends), cut(block.values, block.value_ends), strict=True)
    )
