"""The locks of one transaction: which it took, how strong, and since which savepoint.

**Model.** The KV node keeps the locks; here is remembered what spares asking for what one has and
validating reads of rows that cannot change any more; and, once there is a savepoint, what ROLLBACK
TO has to give up. Giving up is sent without waiting: the stream keeps its order.
"""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Container, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from kvapi.client.kv_client import KvClient
from kvapi.client.lock_calls import LockMode, LockWait
from kvapi.client.results import ABSENT, SKIPPED, MultiGot
from kvapi.errors import RequestTooLarge
from sqlnode.locked_rows import halves

KEYS_PER_REQUEST: Final = 1000  # of one multi_get or lock request
STRENGTH: Final[dict[LockMode, int]] = {
    "key shared": 0,
    "shared": 1,
    "no key exclusive": 2,
    "exclusive": 3,
}
_MODES: Final[list[LockMode]] = list(STRENGTH)


class LockWish(NamedTuple):
    """How to lock; `timeout_ms` 0 waits for ever."""

    mode: LockMode = "exclusive"
    wait: LockWait = "block"
    timeout_ms: int = 0
    statement: str = ""  # for the detail of a deadlock report
    catalog_version: int = 0


class TxnLocks:
    """Belongs to one transaction."""

    def __init__(self, client: KvClient, txn_id: bytes) -> None:
        self.session = b""  # locks of one session never exclude each other
        self.has_any = False
        self.keeps_log = False  # from the first savepoint on
        self._client = client
        self._txn_id = txn_id
        self._held: dict[bytes, int] = {}  # modes, as bits
        self._log: list[tuple[int, bytes, LockMode]] = []  # numbered, rising
        self._number = 0

    def covers(self, key: bytes, mode: LockMode) -> bool:
        """Tell whether a key is held in `mode` or stronger."""
        return self._held.get(key, 0) >> STRENGTH[mode] != 0

    def protects(self, key: bytes) -> bool:
        """Tell whether the value of a key cannot change before the transaction ends."""
        return self._held.get(key, 0) > 1  # more than KEY SHARE

    async def lock(
        self, keys: Sequence[bytes], wish: LockWish
    ) -> AsyncGenerator[tuple[Sequence[bytes], MultiGot], None]:
        """Lock keys in the order given; yield them in parts, each with its answer.

        Raises: LockTimeout, LockNotAvailable, Deadlock, ….
        """
        self.has_any = True
        parts = [keys[n : n + KEYS_PER_REQUEST] for n in range(0, len(keys), KEYS_PER_REQUEST)]
        parts.reverse()
        while parts:
            part = parts.pop()
            try:
                got = await self._client.lock(
                    part, txn_id=self._txn_id, session=self.session, **wish._asdict()
                )
            except RequestTooLarge:
                if len(part) == 1:
                    raise
                parts += reversed(halves(part))  # rows too large for one answer
            else:
                yield part, got

    async def hold(self, keys: Sequence[bytes], wish: LockWish) -> dict[bytes, bytes | None]:
        """Lock keys and return their newest values; what does not exist is not held."""
        values: dict[bytes, bytes | None] = {}
        async for part, got in self.lock(keys, wish):
            values.update(zip(part, got.values, strict=True))
            self.give_up(self.note(part, got.found, wish.mode), wish.mode)
        return values

    def add(self, key: bytes, mode: LockMode) -> bool:
        """Note a lock; False if the key was held so already."""
        held = self._held.get(key, 0)
        if held >> STRENGTH[mode]:
            return False
        self._held[key] = held | 1 << STRENGTH[mode]
        if self.keeps_log:
            self._number += 1
            self._log.append((self._number, key, mode))
        return True

    def note(self, keys: Sequence[bytes], found: bytes, mode: LockMode) -> list[bytes]:
        """Note what was locked, skipped keys apart; return those absent and not held before."""
        absent = []
        for key, state in zip(keys, found, strict=True):
            if state != SKIPPED and self.add(key, mode) and state == ABSENT:
                absent.append(key)
        return absent

    def mark(self) -> int:
        """Return the present position: a savepoint is set here."""
        self.keeps_log = True
        return self._number

    def give_up_since(self, mark: int) -> list[bytes]:
        """Give up what was locked since `mark`; return the keys that may change again."""
        taken = self._log[bisect_right(self._log, mark, key=itemgetter(0)) :]
        for mode in _MODES:
            self.give_up([key for _, key, taken_mode in taken if taken_mode == mode], mode)
        return [key for _, key, _ in taken if not self.protects(key)]

    def forget(self, keys: Container[bytes]) -> None:
        """Forget keys that were staged: their intents are locks until the transaction ends."""
        self._held = {key: held for key, held in self._held.items() if key not in keys}
        if self._log:
            self._log = [entry for entry in self._log if entry[1] not in keys]

    def give_up(self, keys: Sequence[bytes], mode: LockMode) -> None:
        """Give up locks taken in `mode`, wherever the log has them."""
        if not keys:
            return
        for key in keys:
            if left := self._held.get(key, 0) & ~(1 << STRENGTH[mode]):
                self._held[key] = left
            else:
                self._held.pop(key, None)
        gone = set(keys)
        if self._log:
            self._log = [entry for entry in self._log if entry[2] != mode or entry[1] not in gone]
        for start in range(0, len(keys), KEYS_PER_REQUEST):
            part = keys[start : start + KEYS_PER_REQUEST]
            freed = self._client.unlock(part, txn_id=self._txn_id, mode=mode)
            freed.add_done_callback(lambda done: done.cancelled() or done.exception())

    def free(self) -> None:
        """Send the rollback without waiting: the stream keeps its order with later requests."""
        if self.has_any:
            self.has_any = False
            freed = self._client.rollback(txn_id=self._txn_id)
            # Locks die with the stream, so a failure needs nobody's attention.
            freed.add_done_callback(lambda done: done.cancelled() or done.exception())
