"""Keeps every tenant's ranges in shape: measures, splits, merges, in the background.

**Model.** Each `range_interval_s` the rates of all tenants in use are brought up to date; where
something happened the policy is asked, and what it says is done: one small durable write for each
change, then the map in memory. A size is found by a walk in steps of about a millisecond, with a
pause after each, so that requests do not notice.

**Invariants.** A map in memory changes after its descriptors are durable. One change at a time in
the whole node: background work should not compete with itself.

**Concurrency.** Owner: the event loop; `_lock` is held from reading a map to replacing it.
"""

import asyncio
import logging
import random
from typing import Final

from kvapi.errors import BadRequest, KvError
from kvapi.spans import Span
from kvnode.core import Core
from kvnode.ranges.descriptor import (
    RangeTable,
    check_ranges,
    merge_table,
    split_table,
    write_ranges,
)
from kvnode.ranges.load_sample import LoadSample
from kvnode.ranges.policy import Cause, RangeLoad, RangePolicy, joined_heat
from kvnode.ranges.range_map import RangeState
from kvnode.ranges.range_size import RangeSize, SizeWalk
from kvnode.storage.engine import WriteTxn
from kvnode.tenants.records import read_sizes
from kvnode.tenants.tenant import Tenant

_log = logging.getLogger(__name__)
_MARKS: Final = 32  # of a range of the largest size
_STALE_BYTES_SHARE: Final = 16  # of the largest size: less is not worth another walk
_REWALK_SHARE: Final = 8  # the range grew by an eighth since
_WALK_PAUSE_S: Final = 0.002
_TENANTS_PER_TURN: Final = 100
_CORRECTED_PER_TICK: Final = 4
_CHANGES_PER_TICK: Final = 64  # of one tenant


class RangeKeeper:
    """Changes ranges, by itself and for operators."""

    def __init__(self, core: Core, rng: random.Random) -> None:
        self._core = core
        self._rng = rng
        self._policy = RangePolicy.of(core.config)
        self._lock = asyncio.Lock()
        self._walk_count = 0
        self.split_count = 0
        self.merge_count = 0

    async def run(self) -> None:
        """Look after all ranges until cancelled."""
        while True:
            await asyncio.sleep(self._core.config.range_interval_s)
            try:
                await self.tick()
            except KvError as error:
                _log.warning("range_upkeep_failed", extra={"reason": error.message})

    async def tick(self) -> None:
        """Look at every tenant in use once."""
        busy: list[Tenant] = []
        for index, tenant in enumerate(self._core.tenants.loaded()):
            if not tenant.ranges.is_settled() and self._may_change(tenant):
                busy.append(tenant)
            if index % _TENANTS_PER_TURN == _TENANTS_PER_TURN - 1:
                await asyncio.sleep(0)
        for tenant in busy:
            async with self._lock:
                await self._tend(tenant)

    def range_count(self) -> int:
        """Return how many ranges the tenants in use have."""
        return sum(len(tenant.ranges.states) for tenant in self._core.tenants.loaded())

    # --- for operators ------------------------------------------------------------------------

    async def measure(self, tenant: Tenant, *, wait_s_max: float) -> None:
        """Measure the ranges of a tenant that were not yet, as far as the time allows."""
        try:
            async with asyncio.timeout(wait_s_max), self._lock:
                if len(tenant.ranges.states) > 1:
                    for state in list(tenant.ranges.states):
                        if state.size is None or not state.size.is_exact():
                            await self._walk(tenant, state)
        except TimeoutError:
            pass  # a large tenant: the rest is measured in the background

    async def split(self, tenant: Tenant, key: bytes | None) -> None:
        """Split the range that holds `key` there; None: the largest, in the middle of its bytes.

        Raises: BadRequest, KvError.
        """
        async with self._lock:
            if key is None:
                for state in tenant.ranges.states:
                    if len(tenant.ranges.states) == 1 or not (state.size and state.size.marks):
                        await self._walk(tenant, state)
                state = max(tenant.ranges.states, key=lambda s: s.size.estimate if s.size else 0)
                key = self._middle(state)
                if key is None:
                    raise BadRequest("no range of the tenant has a middle: there are too few rows")
            state = tenant.ranges.find(key)
            if key == state.descriptor.start:
                raise BadRequest("a range begins at this key already")
            await self._split(tenant, state, key, "operator")

    async def merge(self, tenant: Tenant, range_id: int) -> None:
        """Join a range with its right neighbour. Raises: BadRequest, KvError."""
        async with self._lock:
            states = tenant.ranges.states
            ids = [state.descriptor.range_id for state in states]
            if range_id not in ids:
                raise BadRequest(f"the tenant has no range {range_id}")
            index = ids.index(range_id)
            if index + 1 == len(states):
                raise BadRequest(f"range {range_id} is the last: it has no right neighbour")
            holders = {state.descriptor.leaseholder for state in states[index : index + 2]}
            if len(holders) > 1:
                raise BadRequest("another KV node holds the neighbour")
            await self._merge(tenant, index, "operator")

    async def assign(self, tenant: Tenant, table: RangeTable) -> None:
        """Use ranges that were decided elsewhere, as when one moves. Raises: KvError."""
        check_ranges(table.ranges)
        async with self._lock:
            await self._store(tenant, table)
            tenant.ranges.adopt(table, [RangeState(descriptor) for descriptor in table.ranges])

    # --- by itself ----------------------------------------------------------------------------

    def _may_change(self, tenant: Tenant) -> bool:
        return not (tenant.is_dropped or tenant.record.is_dropping)

    async def _tend(self, tenant: Tenant) -> None:
        tenant.ranges.roll(self._core.clock.monotonic_s())
        await asyncio.sleep(0)  # a thousand ranges take a millisecond
        for _ in range(_CHANGES_PER_TICK):
            await self._measure_stale(tenant)
            if not self._may_change(tenant) or not await self._change_one(tenant):
                break
        ranges = tenant.ranges
        for state in ranges.states:
            is_hot = state.heat.hot_since_s is not None
            if is_hot != (state.sample is not None):
                state.sample = LoadSample(self._rng) if is_hot else None
        ranges.look_again()

    async def _measure_stale(self, tenant: Tenant) -> None:
        if len(tenant.ranges.states) == 1:
            return  # its size is the tenant's
        least_bytes = self._policy.bytes_max // _STALE_BYTES_SHARE
        for state in list(tenant.ranges.states):
            if state.size is None or state.size.is_stale(least_bytes):
                await self._walk(tenant, state)
        await self._correct(tenant, least_bytes)

    async def _correct(self, tenant: Tenant, least_bytes: int) -> None:
        """Measure a few ranges again while their sum is far from what the tenant stores."""
        states = [state for state in tenant.ranges.states if state.size is not None]
        total = read_sizes(self._core.timeline.snapshot(), tenant.prefix).live_bytes
        known = sum(state.size.estimate for state in states if state.size is not None)
        if abs(total - known) > max(total // _REWALK_SHARE, 4 * least_bytes):
            states.sort(key=lambda state: state.size.walk_no if state.size is not None else 0)
            for state in states[:_CORRECTED_PER_TICK]:
                await self._walk(tenant, state)

    async def _change_one(self, tenant: Tenant) -> bool:
        """Split or merge once if it is time; tell whether to look again."""
        await asyncio.sleep(0)
        now_s = self._core.clock.monotonic_s()
        loads = self._loads(tenant)
        for load in loads:
            self._policy.observe(load, now_s)
        states = tenant.ranges.states
        for state, load in zip(states, loads, strict=True):
            if not tenant.ranges.is_held(state) or len(states) >= self._core.config.ranges_max:
                continue
            cause = self._policy.split_cause(load, now_s)
            if cause is None:
                continue
            by_load = cause is Cause.LOAD
            key = self._load_key(state) if by_load else await self._size_key(tenant, state, load)
            if key is not None:
                await self._split(tenant, state, key, cause.value)
                return True
        index = self._policy.merge_index(loads, now_s)
        if index is None or not tenant.ranges.is_held(states[index]):
            return False
        await self._merge(tenant, index, "quiet")
        return True

    def _loads(self, tenant: Tenant) -> list[RangeLoad]:
        states = tenant.ranges.states
        if len(states) == 1:
            state = states[0]
            size = read_sizes(self._core.timeline.snapshot(), tenant.prefix).live_bytes
            return [RangeLoad(state.heat, size, state.rate)]
        return [
            RangeLoad(
                state.heat,
                None if state.size is None else state.size.estimate,
                state.rate,
                state.descriptor.leaseholder,
            )
            for state in states
        ]

    def _load_key(self, state: RangeState) -> bytes | None:
        """Return the key that halves the load; if there is none, sample anew."""
        sample, state.sample = state.sample, LoadSample(self._rng)
        key = sample.split_key() if sample is not None else None
        return None if key == state.descriptor.start else key

    async def _size_key(self, tenant: Tenant, state: RangeState, load: RangeLoad) -> bytes | None:
        """Return the key in the middle of the bytes; one walk serves several splits."""
        size, known = state.size, load.size_bytes or 0
        if size is None or known > size.estimate + size.estimate // _REWALK_SHARE:
            size = await self._walk(tenant, state)
        return self._middle(state) if size.estimate > self._policy.bytes_max else None

    def _middle(self, state: RangeState) -> bytes | None:
        mark = state.size.middle(state.descriptor.start) if state.size is not None else None
        return None if mark is None else mark.key

    async def _walk(self, tenant: Tenant, state: RangeState) -> RangeSize:
        """Measure a range: a step, a pause, and so on."""
        start, end = tenant.keyspace.span(*state.descriptor.span)
        walk = SizeWalk(Span(start, end), mark_bytes=self._policy.bytes_max // _MARKS)
        while True:
            if walk.step(self._core.timeline.snapshot()):
                break
            await asyncio.sleep(_WALK_PAUSE_S)
        self._walk_count += 1
        walk.size.walk_no = self._walk_count
        if state.size is not None:
            walk.size.recent_bytes = state.size.recent_bytes  # not seen by the walk, perhaps
        state.size = walk.size
        return walk.size

    # --- changes ------------------------------------------------------------------------------

    async def _split(self, tenant: Tenant, state: RangeState, key: bytes, cause: str) -> None:
        ranges = tenant.ranges
        index = ranges.states.index(state)
        table = split_table(ranges.table, state.descriptor.range_id, key)
        await self._store(tenant, table)
        # Nothing was noted for an only range, so its size is right only just after a walk.
        is_known = len(ranges.states) > 1 or cause == Cause.SIZE
        sizes = state.size.cut(key) if state.size is not None and is_known else (None, None)
        halves = [RangeState(table.ranges[index + side], size) for side, size in enumerate(sizes)]
        for half in halves:
            half.inherit(state, 0.5)
        ranges.adopt(table, [*ranges.states[:index], *halves, *ranges.states[index + 1 :]])
        self.split_count += 1
        self._log_change("range_split", tenant, halves[0], cause)

    async def _merge(self, tenant: Tenant, index: int, cause: str) -> None:
        ranges = tenant.ranges
        left, right = ranges.states[index : index + 2]
        table = merge_table(ranges.table, left.descriptor.range_id)
        await self._store(tenant, table)
        size = left.size.joined(right.size) if left.size and right.size else None
        joined = RangeState(table.ranges[index], size)
        joined.heat = joined_heat(left.heat, right.heat)
        joined.inherit(left, 1)
        joined.inherit(right, 1)
        ranges.adopt(table, [*ranges.states[:index], joined, *ranges.states[index + 2 :]])
        self.merge_count += 1
        self._log_change("range_merged", tenant, joined, cause)

    async def _store(self, tenant: Tenant, table: RangeTable) -> None:
        """Make new descriptors durable; who calls uses them right after."""
        ranges = tenant.ranges
        old = ranges.table

        def work(txn: WriteTxn) -> None:
            write_ranges(txn, tenant.prefix, old, table)

        ranges.is_changing = True
        try:
            await self._core.write(tenant.id, work)
        finally:
            ranges.is_changing = False

    def _log_change(self, event: str, tenant: Tenant, state: RangeState, cause: str) -> None:
        fields = {
            "tenant_id": tenant.id,
            "range_id": state.descriptor.range_id,
            "generation": state.descriptor.generation,
            "cause": cause,
        }
        _log.info(event, extra=fields)
