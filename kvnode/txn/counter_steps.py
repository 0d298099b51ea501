"""Counters of the running node: step in memory, make durable, then answer.

**Model.** Steps do not wait for write tokens (`write_gate.py`), though they are charged for what
they write, so that the commits of who steps much wait sooner. A step is 32 bytes, and all those of
a counter that wait for a sync write the same page: however many there are, the batch is hardly
longer. Holding them back would help nobody, and make each row of a `serial` column wait twice. SQL
processes take several at once where CACHE says so, and blocks of row ids.

**Invariants.** A value is answered after it is on disk, so it is never handed out twice. Steps of
one counter are taken in order, also while earlier ones are still being written.
"""

from collections.abc import Callable

from kvapi.errors import KvError, Throttled
from kvnode.mvcc.formats import unpack_counter
from kvnode.mvcc.overlay import find_intent
from kvnode.mvcc.point_read import ABSENT
from kvnode.storage.engine import Table
from kvnode.tenants.tenant import CounterState, Tenant
from kvnode.txn.counters import Step, next_value
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.layers import NEVER
from kvnode.txn.operations import CounterOperation
from kvnode.txn.timeline import Timeline

Answer = Callable[[CounterState | None, KvError | None], None]


class CounterSteps:
    """Runs increments. Owner: the event loop."""

    def __init__(self, timeline: Timeline, group: GroupCommit) -> None:
        self._timeline = timeline
        self._group = group
        self._sequence = 0

    def peek(self, tenant: Tenant, key: bytes) -> CounterState | None:
        """Return a counter's newest state, or None if it does not exist."""
        if (pending := tenant.counters.get(key)) is not None:
            return pending[0]
        snapshot, layers = self._timeline.snapshot(), tenant.layers
        if layers.committed and find_intent(snapshot, layers.overlay(NEVER), key) == ABSENT:
            return None  # a large transaction has deleted it
        stored = snapshot.get(Table.COUNTERS, key)
        return unpack_counter(stored) if stored is not None else None

    def step(self, tenant: Tenant, key: bytes, step: Step, answer: Answer) -> None:
        """Hand out values. Raises: CounterExhausted, Throttled."""
        self._write(tenant, key, (next_value(self.peek(tenant, key), step), True), answer)

    def set(self, tenant: Tenant, key: bytes, state: CounterState, answer: Answer) -> None:
        """Set the counter. Raises: Throttled."""
        self._write(tenant, key, state, answer)

    def _write(self, tenant: Tenant, key: bytes, state: CounterState, answer: Answer) -> None:
        if self._group.is_full:
            raise Throttled("too many writes wait for the disk", number=10)
        self._sequence -= 1  # negative: never equal to a commit's timestamp
        sequence = self._sequence
        tenant.counters[key] = (state, sequence)

        def written(error: KvError | None) -> None:
            if (pending := tenant.counters.get(key)) is not None and pending[1] == sequence:
                del tenant.counters[key]
            answer(state if error is None else None, error)

        below = tenant.layers.lowest_first()
        self._group.submit(CounterOperation(tenant.id, key, *state, on_finish=written, below=below))
