"""Advisory locks of one session: its own, counted, and those of its transaction.

**Model.** The KV node holds a lock once, however often it was taken; how often is counted here, as
PostgreSQL stacks them. Locks of the session belong to an owner that outlives transactions, locks of
the transaction to the transaction; both are one session, so they never exclude each other.

Keys: database, zero byte, then 1 and a bigint, 2 and two integers, 3 and a table's id (LOCK
TABLE), 4: the turn to change the schema, or 5 and an id: that of one relation
(jobs/schema_turn.py).

Source: PostgreSQL docs, "Advisory Lock Functions"; src/backend/utils/adt/lockfuncs.c.
"""

from collections import Counter
from typing import Final

from kvapi.client.kv_client import KvClient
from kvapi.client.lock_calls import LockMode
from kvapi.client.results import SKIPPED
from sqlnode.txn_locks import LockWish

_BIGINT: Final = b"\x01"
_INTS: Final = b"\x02"
_TABLE: Final = b"\x03"
SCHEMA_TURN_KEY: Final = b"\0\x04"
_RELATION_TURN: Final = b"\0\x05"


def advisory_key(database: str, *numbers: int) -> bytes:
    """Return the key of a bigint or of two integers."""
    if len(numbers) == 1:
        name = _BIGINT + numbers[0].to_bytes(8, "big", signed=True)
    else:
        name = _INTS + b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    return database.encode() + b"\0" + name


def table_lock_key(table_id: int) -> bytes:
    """Return the key of a table as a whole."""
    return b"\0" + _TABLE + table_id.to_bytes(8, "big")


def relation_turn_key(relation_id: int) -> bytes:
    """Return the key of the turn to change one relation."""
    return _RELATION_TURN + relation_id.to_bytes(8, "big")


class SessionAdvisoryLocks:
    """Belongs to one session; `owner` is its name at the KV node."""

    def __init__(self, client: KvClient, owner: bytes, session: bytes) -> None:
        self._client = client
        self._owner = owner
        self._session = session
        self._counts: Counter[tuple[bytes, LockMode]] = Counter()

    @property
    def is_lost(self) -> bool:
        """True if the session had locks and the connection that held them broke."""
        return bool(self._counts) and self._client.is_broken(self._owner)

    async def lock(self, key: bytes, wish: LockWish) -> bool:
        """Take a lock once more; False if it was skipped. Raises: KvError."""
        if (key, wish.mode) not in self._counts:
            got = await self._client.lock(
                [key],
                txn_id=self._owner,
                session=self._session,
                is_advisory=True,
                **wish._asdict(),
            )
            if got.found[0] == SKIPPED:
                return False
        self._counts[key, wish.mode] += 1
        return True

    async def unlock(self, key: bytes, mode: LockMode) -> bool:
        """Give a lock up once; False if the session does not have it."""
        if (key, mode) not in self._counts:
            return False
        self._counts[key, mode] -= 1
        if not self._counts[key, mode]:
            del self._counts[key, mode]
            await self._client.unlock([key], txn_id=self._owner, mode=mode, is_advisory=True)
        return True

    def unlock_all(self) -> None:
        """Give everything up, without waiting."""
        if self._counts:
            self._counts.clear()
            freed = self._client.rollback(txn_id=self._owner)
            # Locks die with the stream, so a failure needs nobody's attention.
            freed.add_done_callback(lambda done: done.cancelled() or done.exception())
