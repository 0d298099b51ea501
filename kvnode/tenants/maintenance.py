"""Background upkeep: garbage, old outcomes, memory of what is over.

**Invariants.** A tenant's threshold rises in memory before anything below it is removed, and never
above the snapshot of a running scan or a protected one (protections.py); so a reader is either
refused or sees everything. It is the timestamp of a durable commit that superseded something: so
the present can always be read, however long ago the last commit was.
"""

import asyncio
import logging

from kvapi.errors import KvError
from kvapi.hlc import from_wall_ns, wall_us
from kvnode.admission.elastic import elastic_turn
from kvnode.core import Core
from kvnode.mvcc.collect import Collected, collect_versions, forget_txns, tenants_with
from kvnode.mvcc.formats import TENANT_BYTES, TS_BYTES, garbage_key
from kvnode.storage.engine import Table, WriteTxn
from kvnode.tenants.elapsed import ElapsedTimestamps
from kvnode.tenants.records import change_sizes, threshold_key, write_u64
from kvnode.tenants.tenant import Tenant

_log = logging.getLogger(__name__)


class Maintenance:
    """Runs upkeep every `gc_interval_s`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._outcomes = ElapsedTimestamps(age_s=core.config.txn_record_life_s)
        self.versions_collected = 0
        self._oldest_garbage_ts = 0  # after the last run; 0: there is none

    async def run(self) -> None:
        """Keep the store in order until cancelled."""
        while True:
            await asyncio.sleep(self._core.config.gc_interval_s)
            try:
                await self.run_once()
            except KvError as error:
                _log.warning("maintenance_failed", extra={"reason": error.message})

    async def run_once(self) -> None:
        """Do everything that is due now."""
        core = self._core
        core.sequencer.forget_refused(core.clock.monotonic_s())
        recent_ts = min(self._ago(core.config.recent_s), core.timeline.durable_ts)
        for tenant in core.tenants.loaded():
            tenant.recent.forget_before(recent_ts)
            tenant.layers.forget_before(recent_ts)
        oldest_ts = 0
        for prefix in tenants_with(core.timeline.snapshot(), Table.GARBAGE):
            await self._collect(prefix)
            left = core.timeline.snapshot().seek(Table.GARBAGE, prefix)
            if left is not None and left[0].startswith(prefix):
                oldest_ts = min(oldest_ts or _garbage_ts(left[0]), _garbage_ts(left[0]))
        self._oldest_garbage_ts = oldest_ts
        # A client may ask for an outcome as long as it was promised, also while the wall clock is
        # set forward: "unknown" would be the answer for what was committed.
        old_ts = self._outcomes.note(core.clock.monotonic_s(), core.timeline.durable_ts)
        life_ts = min(old_ts, self._ago(core.config.txn_record_life_s))
        for prefix in tenants_with(core.timeline.snapshot(), Table.TXNS):
            await self._forget_txns(prefix, life_ts)
        core.tenants.forget_unused()

    def oldest_garbage_age_s(self) -> float:
        """Return how long ago the oldest version that is kept as history was superseded."""
        if not self._oldest_garbage_ts:
            return 0.0
        return self._core.now_s() - wall_us(self._oldest_garbage_ts) / 1e6

    def _ago(self, seconds: float) -> int:
        return max(0, from_wall_ns(self._core.clock.now_ns() - int(seconds * 1e9)))

    async def _collect(self, prefix: bytes) -> None:
        tenant = self._tenant(prefix)
        if tenant is None:
            return
        lapse_s = self._core.clock.monotonic_s() - self._core.config.protect_s_max
        if lapsed := tenant.protections.lapse(until_s=lapse_s):
            fields = {"tenant_id": tenant.id, "count": lapsed}
            _log.info("protections_lapsed", extra=fields)
        limit = tenant.oldest_read(self._ago(tenant.record.gc_ttl_s))
        threshold = self._newest_garbage(prefix, limit)
        if threshold is None:
            return
        tenant.threshold = max(tenant.threshold, threshold)
        results: list[Collected] = []

        def work(txn: WriteTxn) -> None:
            collected = collect_versions(txn, tenant=prefix, threshold=threshold)
            change_sizes(txn, prefix, collected.change)
            write_u64(txn, threshold_key(prefix), tenant.threshold)
            results[:] = [collected]

        while not results or not results[0].is_complete:
            await elastic_turn(self._core.scheduler, tenant.id)
            if tenant.record.is_dropping:
                return  # its last bytes may be gone already
            await self._core.write(tenant.id, work)
            self.versions_collected += results[0].version_count

    async def _forget_txns(self, prefix: bytes, life_ts: int) -> None:
        results: list[bool] = []

        def work(txn: WriteTxn) -> None:
            results[:] = [forget_txns(txn, tenant=prefix, threshold=life_ts)]

        row = self._core.timeline.snapshot().seek(Table.TXNS, prefix + b"e")
        if row is None or row[0] > prefix + b"e" + life_ts.to_bytes(8, "big"):
            return
        tenant_id = int.from_bytes(prefix, "big")
        while not results or not results[0]:
            await elastic_turn(self._core.scheduler, tenant_id)
            await self._core.write(tenant_id, work)

    def _tenant(self, prefix: bytes) -> Tenant | None:
        try:
            tenant = self._core.tenants.load(int.from_bytes(prefix, "big"))
        except KvError:
            return None  # dropped in the meantime
        return None if tenant.record.is_dropping else tenant

    def _newest_garbage(self, prefix: bytes, limit: int) -> int | None:
        """Return when something was superseded for the last time at or before `limit`."""
        end = garbage_key(prefix, limit + 1, 0)
        row = self._core.timeline.snapshot().seek_before(Table.GARBAGE, end)
        if row is None or row[0][:TENANT_BYTES] != prefix:
            return None
        return _garbage_ts(row[0])


def _garbage_ts(stored_key: bytes) -> int:
    return int.from_bytes(stored_key[TENANT_BYTES : TENANT_BYTES + TS_BYTES], "big")
