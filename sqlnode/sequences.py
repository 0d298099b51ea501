"""Sequences over counters of the KV node, and the row ids of tables without primary key.

**Model.** A counter lives outside transactions: what it handed out is gone, whatever becomes of the
transaction. `CounterCache` is the process's: a sequence's CACHE values, and blocks of row ids, so
that neither costs a round trip for each row. `SessionSequences` is one session's: what its own
nextval calls gave (currval, lastval).

**Concurrency.** Used from one event loop; two sessions that find a cache empty both fetch a block.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from kvapi.client.kv_client import KvClient
from kvapi.client.results import Counter
from kvapi.errors import CommitAmbiguous, CounterExhausted
from kvapi.layout import sequence_key
from pgwire.errors import (
    NumericValueOutOfRange,
    ObjectNotInPrerequisiteState,
    SequenceGeneratorLimitExceeded,
    UndefinedTable,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import SequenceDesc
from sqlnode.catalog.snapshot import Catalog

ROW_ID_BLOCK_MIN: Final = 256
ROW_ID_BLOCK_MAX: Final = 65_536
_STEPS_MAX: Final = 10_000  # of one request
_STEP_TRIES: Final = 5


async def stepped(client: KvClient, key: bytes, **terms: Any) -> Counter:
    """Step a counter, again if the connection broke meanwhile: that costs a gap, never a value.

    Raises: CounterExhausted, CommitAmbiguous if the connection breaks each time.
    """
    for _ in range(_STEP_TRIES - 1):
        with suppress(CommitAmbiguous):
            return await client.increment(key, **terms)
    return await client.increment(key, **terms)


class CounterCache:
    """Values this process took from counters and has not used yet."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._values: dict[int, deque[int]] = {}
        self._row_ids: dict[int, range] = {}
        self._block_rows: dict[int, int] = {}

    async def take(self, sequence: SequenceDesc, count: int) -> list[int]:
        """Return the next values, in order. Raises: SequenceGeneratorLimitExceeded."""
        taken: list[int] = []
        while True:
            cached = self._values.setdefault(sequence.id, deque())
            while cached and len(taken) < count:
                taken.append(cached.popleft())
            missing = count - len(taken)
            if not missing:
                return taken
            values = await self._fetch(sequence, max(missing, sequence.cache))
            self._values.setdefault(sequence.id, deque()).extend(values)

    def forget(self, sequence_id: int) -> None:
        """Drop cached values: the counter was set."""
        self._values.pop(sequence_id, None)

    async def set(self, sequence_id: int, value: int, is_called: bool) -> None:
        """Set a counter."""
        await self._client.counter_set(sequence_key(sequence_id), value, is_called=is_called)
        self.forget(sequence_id)

    async def row_ids(self, table_id: int, count: int) -> Sequence[int]:
        """Return ids that no row of the table has, ascending; mostly without a round trip."""
        block = self._row_ids.get(table_id, range(0))
        if len(block) < count:
            size = min(2 * self._block_rows.get(table_id, 0), ROW_ID_BLOCK_MAX)
            size = max(size, ROW_ID_BLOCK_MIN, count)
            self._block_rows[table_id] = size
            counter = await stepped(self._client, sequence_key(table_id), by=size, start=size)
            block = range(counter.value - size + 1, counter.value + 1)
        self._row_ids[table_id] = block[count:]
        return block[:count]

    async def _fetch(self, sequence: SequenceDesc, count: int) -> list[int]:
        """Take steps of the counter: many at once where the counter is far from its bounds."""
        count = 1 if sequence.cycle else min(count, _STEPS_MAX)
        try:
            return await self._steps(sequence, count)
        except CounterExhausted:
            if count == 1:
                raise _exhausted(sequence) from None
        try:
            return await self._steps(sequence, 1)
        except CounterExhausted:
            raise _exhausted(sequence) from None

    async def _steps(self, sequence: SequenceDesc, count: int) -> list[int]:
        counter = await stepped(
            self._client,
            sequence_key(sequence.id),
            by=sequence.increment,
            count=count,
            start=sequence.start,
            bounds=(sequence.min_value, sequence.max_value),
            cycle=sequence.cycle,
        )
        return [counter.value - n * sequence.increment for n in range(count - 1, -1, -1)]


class SessionSequences:
    """One session's view of the sequences (context.SequenceService)."""

    def __init__(self, cache: CounterCache, catalog: Callable[[], Catalog]) -> None:
        self._cache = cache
        self._catalog = catalog
        self._current: dict[int, int] = {}
        self._last_id: int | None = None

    async def nextval(self, sequence_id: int) -> int:
        """Return the next value. Raises: SequenceGeneratorLimitExceeded, UndefinedTable."""
        (value,) = await self.nextvals(sequence_id, 1)
        return value

    async def nextvals(self, sequence_id: int, count: int) -> list[int]:
        """Return the next values, as so many calls of nextval would."""
        if not count:
            return []
        values = await self._cache.take(self._find(sequence_id), count)
        self._current[sequence_id] = values[-1]
        self._last_id = sequence_id
        return values

    async def currval(self, sequence_id: int) -> int:
        """Return what this session's last nextval gave. Raises: ObjectNotInPrerequisiteState."""
        name = self._find(sequence_id).name
        value = self._current.get(sequence_id)
        if value is None:
            raise ObjectNotInPrerequisiteState(
                f'currval of sequence "{name}" is not yet defined in this session'
            )
        return value

    async def lastval(self) -> int:
        """Return what the session's last nextval of any sequence gave."""
        last = self._last_id
        if last is None or not isinstance(self._catalog().by_id.get(last), SequenceDesc):
            raise ObjectNotInPrerequisiteState("lastval is not yet defined in this session")
        return self._current[last]

    async def setval(self, sequence_id: int, value: int, is_called: bool) -> int:
        """Set the counter, at once and for everyone. Raises: NumericValueOutOfRange."""
        sequence = self._find(sequence_id)
        if not sequence.min_value <= value <= sequence.max_value:
            raise NumericValueOutOfRange(
                f'setval: value {value} is out of bounds for sequence "{sequence.name}" '
                f"({sequence.min_value}..{sequence.max_value})"
            )
        await self._cache.set(sequence_id, value, is_called)
        if is_called:
            self._current[sequence_id] = value
        return value

    async def row_ids(self, table_id: int, count: int) -> Sequence[int]:
        """Return fresh row ids of a table without primary key."""
        return await self._cache.row_ids(table_id, count)

    def discard(self) -> None:
        """Forget what nextval gave (DISCARD SEQUENCES)."""
        self._current.clear()
        self._last_id = None

    def _find(self, sequence_id: int) -> SequenceDesc:
        found = self._catalog().by_id.get(sequence_id)
        if isinstance(found, SequenceDesc):
            return found
        if found is None:
            raise UndefinedTable(f"could not open relation with OID {sequence_id}")
        raise WrongObjectType(f'"{found.name}" is not a sequence')


def _exhausted(sequence: SequenceDesc) -> SequenceGeneratorLimitExceeded:
    if sequence.increment > 0:
        which, bound = "maximum", sequence.max_value
    else:
        which, bound = "minimum", sequence.min_value
    return SequenceGeneratorLimitExceeded(
        f'nextval: reached {which} value of sequence "{sequence.name}" ({bound})'
    )
