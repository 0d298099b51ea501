"""A sample of the keys that a hot range serves, and the key that would halve its load.

**Model.** A reservoir holds each key touched with equal probability, however many there were. Of
its distinct keys the best cut is the one that leaves most on the smaller side; if that side has
less than a quarter, the load is one key's, and no cut would help.

**Source.** Vitter, "Random sampling with a reservoir", 1985. CockroachDB's load-based splitting
(`pkg/kv/kvserver/split`) keeps a reservoir likewise and asks for balance likewise.
"""

import random
from bisect import bisect_left
from typing import Final

_KEYS_MAX: Final = 512
_KEYS_MIN: Final = 64  # fewer say nothing
_SMALLER_SIDE_MIN: Final = 0.25


class LoadSample:
    """Keys of one range, sampled while it is hot."""

    __slots__ = ("_keys", "_rng", "touch_count")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._keys: list[bytes] = []
        self.touch_count = 0

    def touch(self, key: bytes) -> None:
        """Note that a request touched `key`."""
        self.touch_count += 1
        if len(self._keys) < _KEYS_MAX:
            self._keys.append(key)
        elif (slot := int(self._rng.random() * self.touch_count)) < _KEYS_MAX:
            self._keys[slot] = key

    def split_key(self) -> bytes | None:
        """Return the key that halves the load best, None if none is worth a split."""
        keys = sorted(self._keys)
        if len(keys) < _KEYS_MIN:
            return None
        half = len(keys) / 2
        best = min(set(keys), key=lambda key: (abs(bisect_left(keys, key) - half), key))
        left = bisect_left(keys, best)
        smaller = min(left, len(keys) - left)
        return best if smaller >= _SMALLER_SIDE_MIN * len(keys) else None
