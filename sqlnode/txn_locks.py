"""The locks of one transaction: which it took, how strong, and since which savepoint.

**Model.** The KV node keeps the locks; here is remembered what spares asking for what one has and
validating reads of rows that cannot change any more; and, once there is a savepoint, what ROLLBACK
TO has to give up. Giving up is sent without waiting: the stream keeps its order.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

from kvapi.client.kv_client import KvClient
from kvapi.client.lock_calls import LockMode, LockWait
from kvapi.client.results import ABSENT, SKIPPED, MultiGot
from kvapi.errors import RequestTooLarge, SchemaChanged
from sqlnode.held_modes import HeldModes
from sqlnode.locked_rows import halves
from sqlnode.used_relations import UsedRelations

KEYS_PER_REQUEST: Final = 1000  # of one multi_get or unlock request
_LOCKED_TOGETHER: Final = 250  # the KV node takes, reads and answers them in one turn of its loop


class LockWish(NamedTuple):
    """How to lock; `timeout_ms` 0 waits for ever."""

    mode: LockMode = "exclusive"
    wait: LockWait = "block"
    timeout_ms: int = 0
    statement: str = ""  # for the detail of a deadlock report
    catalog_version: int = 0


class LocksMark(NamedTuple):
    """A position to go back to."""

    rows: int
    advisory: int


class TxnLocks:
    """Belongs to one transaction."""

    def __init__(self, client: KvClient, txn_id: bytes, used: UsedRelations) -> None:
        self.session = b""  # locks of one session never exclude each other
        self.has_any = False
        self.has_let_go = False  # of an advisory lock before the end
        self._client = client
        self._txn_id = txn_id
        self._used = used
        self._rows = HeldModes()
        self._advisory = HeldModes()
        self.covers = self._rows.covers
        self.add = self._rows.add
        self.forget = self._rows.forget  # staged keys: their intents are locks

    def protects(self, key: bytes) -> bool:
        """Tell whether the value of a key cannot change before the transaction ends."""
        return self._rows.covers(key, "shared")

    async def lock(
        self, keys: Sequence[bytes], wish: LockWish
    ) -> AsyncGenerator[tuple[Sequence[bytes], MultiGot], None]:
        """Lock keys in the order given; yield them in parts, each with its answer.

        Raises: LockTimeout, LockNotAvailable, Deadlock, ….
        """
        self.has_any = True
        size = _LOCKED_TOGETHER
        parts = [keys[n : n + size] for n in range(0, len(keys), size)]
        parts.reverse()
        while parts:
            part = parts.pop()
            told = self._used.told
            try:
                got = await self._client.lock(
                    part,
                    txn_id=self._txn_id,
                    session=self.session,
                    relations=told,
                    **wish._asdict(),
                )
            except SchemaChanged:
                if not self._used.tell(told):
                    raise
                wish = wish._replace(catalog_version=self._used.catalog_version)
                parts.append(part)
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

    async def lock_advisory(self, key: bytes, wish: LockWish) -> bool:
        """Take an advisory lock to the end of the transaction; False if it was skipped."""
        self.has_any = True
        got = await self._client.lock(
            [key], txn_id=self._txn_id, session=self.session, is_advisory=True, **wish._asdict()
        )
        if got.found[0] == SKIPPED:
            return False
        self._advisory.add(key, wish.mode)
        return True

    def has_advisory(self, key: bytes) -> bool:
        """Tell whether an advisory lock was taken already."""
        return self._advisory.covers(key, "exclusive")

    def let_go(self, key: bytes) -> None:
        """Give an exclusive advisory lock up before the end, if it is held."""
        self.has_let_go = True
        if self.has_advisory(key):
            self._advisory.drop([key], "exclusive")
            self._unlock([key], "exclusive", is_advisory=True)

    def note(self, keys: Sequence[bytes], found: bytes, mode: LockMode) -> list[bytes]:
        """Note what was locked, skipped keys apart; return those absent and not held before."""
        absent = []
        for key, state in zip(keys, found, strict=True):
            if state != SKIPPED and self.add(key, mode) and state == ABSENT:
                absent.append(key)
        return absent

    def mark(self) -> LocksMark:
        """Return the present position: a savepoint is set here."""
        return LocksMark(self._rows.mark(), self._advisory.mark())

    def give_up_since(self, mark: LocksMark) -> list[bytes]:
        """Give up what was locked since `mark`; return the rows that may change again."""
        for mode, keys in self._advisory.since(mark.advisory).items():
            self._advisory.drop(keys, mode)
            self._unlock(keys, mode, is_advisory=True)
        taken = self._rows.since(mark.rows)
        for mode, keys in taken.items():
            self.give_up(keys, mode)
        return [key for keys in taken.values() for key in keys if not self.protects(key)]

    def give_up(self, keys: Sequence[bytes], mode: LockMode) -> None:
        """Give up row locks taken in `mode`."""
        if keys:
            self._rows.drop(keys, mode)
            for start in range(0, len(keys), KEYS_PER_REQUEST):
                self._unlock(keys[start : start + KEYS_PER_REQUEST], mode)

    def _unlock(self, keys: Sequence[bytes], mode: LockMode, *, is_advisory: bool = False) -> None:
        freed = self._client.unlock(keys, txn_id=self._txn_id, mode=mode, is_advisory=is_advisory)
        freed.add_done_callback(lambda done: done.cancelled() or done.exception())

    def free(self) -> None:
        """Send the rollback without waiting: the stream keeps its order with later requests."""
        if self.has_any:
            self.has_any = False
            freed = self._client.rollback(txn_id=self._txn_id)
            # Locks die with the stream, so a failure needs nobody's attention.
            freed.add_done_callback(lambda done: done.cancelled() or done.exception())
