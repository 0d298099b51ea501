"""Which keys somebody holds in which lock modes, and in which order it took them."""

from bisect import bisect_right
from collections.abc import Container, Sequence
from operator import itemgetter
from typing import Final

from kvapi.client.lock_calls import LockMode

STRENGTH: Final[dict[LockMode, int]] = {
    "key shared": 0,
    "shared": 1,
    "no key exclusive": 2,
    "exclusive": 3,
}


class HeldModes:
    """Modes by key, as bits; with a log of what was taken, once somebody wants to go back."""

    def __init__(self) -> None:
        self._modes: dict[bytes, int] = {}
        self._log: list[tuple[int, bytes, LockMode]] = []  # numbered, rising
        self._number = 0
        self._keeps_log = False

    def covers(self, key: bytes, mode: LockMode) -> bool:
        """Tell whether a key is held in `mode` or stronger."""
        return self._modes.get(key, 0) >> STRENGTH[mode] != 0

    def add(self, key: bytes, mode: LockMode) -> bool:
        """Note a lock; False if the key was held as strongly already."""
        held = self._modes.get(key, 0)
        if held >> STRENGTH[mode]:
            return False
        self._modes[key] = held | 1 << STRENGTH[mode]
        if self._keeps_log:
            self._number += 1
            self._log.append((self._number, key, mode))
        return True

    def mark(self) -> int:
        """Return the present position."""
        self._keeps_log = True
        return self._number

    def since(self, mark: int) -> dict[LockMode, list[bytes]]:
        """Return what was taken since `mark`, by mode."""
        taken: dict[LockMode, list[bytes]] = {}
        for _, key, mode in self._log[bisect_right(self._log, mark, key=itemgetter(0)) :]:
            taken.setdefault(mode, []).append(key)
        return taken

    def drop(self, keys: Sequence[bytes], mode: LockMode) -> None:
        """Forget one mode of some keys."""
        bit = 1 << STRENGTH[mode]
        for key in keys:
            if left := self._modes.get(key, 0) & ~bit:
                self._modes[key] = left
            else:
                self._modes.pop(key, None)
        if self._log:
            gone = set(keys)
            self._log = [entry for entry in self._log if entry[2] != mode or entry[1] not in gone]

    def forget(self, keys: Container[bytes]) -> None:
        """Forget keys in every mode: something else holds them until the end."""
        self._modes = {key: modes for key, modes in self._modes.items() if key not in keys}
        if self._log:
            self._log = [entry for entry in self._log if entry[1] not in keys]
