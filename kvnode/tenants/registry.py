"""Which tenants there are: loaded from the store when first needed, one object each.

**Invariants.** While a tenant is in use there is exactly one `Tenant` object of it. A tenant
without streams, scans or pending writes may be forgotten and loaded again; loading assumes the
worst of the past (something was deleted just now, nothing is remembered of recent commits).
"""

from collections.abc import Callable, Iterator

from kvapi.errors import TenantUnknown
from kvapi.spans import prefix_end
from kvnode.mvcc.formats import TENANT_BYTES
from kvnode.ranges.descriptor import read_ranges
from kvnode.ranges.range_map import RangeMap
from kvnode.storage.engine import Table
from kvnode.tenants.bucket_row import BucketRow, read_row
from kvnode.tenants.catalog_use import CatalogUse
from kvnode.tenants.keyspace import TENANT_ID_MAX, Keyspace
from kvnode.tenants.records import (
    NEXT_TENANT_ID,
    TENANT_RECORDS,
    TenantRecord,
    catalog_key,
    decode_record,
    name_key,
    read_u64,
    record_key,
    threshold_key,
)
from kvnode.tenants.tenant import Tenant
from kvnode.tenants.tenant_bucket import TenantBucket
from kvnode.txn.recent_writes import RecentRoom, RecentWrites
from kvnode.txn.timeline import Timeline


class TenantRegistry:
    """All tenants of the store. Owner: the event loop."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        key_bytes_max: int,
        recent_keys_max: int,
        recent: RecentRoom,
        load_bucket: Callable[[bytes, BucketRow], TenantBucket],
    ) -> None:
        self._timeline = timeline
        self._load_bucket = load_bucket
        self._key_bytes_max = key_bytes_max
        self._recent_keys_max, self._recent = recent_keys_max, recent
        self._loaded: dict[int, Tenant] = {}
        self.own_address = ""  # of this node, as range descriptors name it
        self._creating: set[str] = set()  # names whose record is not durable yet
        self._next_id = max(1, read_u64(timeline.snapshot(), NEXT_TENANT_ID))

    def load(self, tenant_id: int) -> Tenant:
        """Return a tenant. Raises: TenantUnknown."""
        if (tenant := self._loaded.get(tenant_id)) is not None and not tenant.is_dropped:
            return tenant
        keyspace = self.keyspace(tenant_id)
        stored = self._timeline.snapshot().get(Table.SYSTEM, record_key(keyspace.prefix))
        if stored is None:
            raise TenantUnknown(f"no tenant has the id {tenant_id}")
        tenant = self._loaded[tenant_id] = self._make(decode_record(stored), keyspace)
        return tenant

    def find(self, name: str) -> Tenant:
        """Return a tenant by name. Raises: TenantUnknown."""
        stored = self._timeline.snapshot().get(Table.SYSTEM, name_key(name))
        if stored is None:
            raise TenantUnknown(f'tenant "{name}" does not exist')
        return self.load(int.from_bytes(stored, "big"))

    def name_of(self, tenant_id: int) -> str:
        """Return the name of a tenant in memory, "" of another."""
        tenant = self._loaded.get(tenant_id)
        return tenant.record.name if tenant is not None else ""

    def loaded(self) -> list[Tenant]:
        """Return the tenants in memory."""
        return list(self._loaded.values())

    def records(self, *, after_id: int = 0, count_max: int) -> Iterator[TenantRecord]:
        """Yield records in order of id."""
        snapshot = self._timeline.snapshot()
        start = record_key((after_id + 1).to_bytes(TENANT_BYTES, "big"))
        end = prefix_end(TENANT_RECORDS)
        for index, (key, stored) in enumerate(snapshot.rows_from(Table.SYSTEM, start)):
            if key >= end or index >= count_max:
                return
            yield decode_record(stored)

    def reserve(self, name: str) -> tuple[int, Callable[[], None]] | None:
        """Reserve a name and an id for a new tenant; the function ends the reservation.

        Returns None if the name is taken.
        """
        taken = self._timeline.snapshot().get(Table.SYSTEM, name_key(name)) is not None
        if taken or name in self._creating:
            return None
        assert self._next_id <= TENANT_ID_MAX, "four billion tenants were created"
        tenant_id = self._next_id
        self._next_id += 1
        self._creating.add(name)
        return tenant_id, lambda: self._creating.discard(name)

    def forget_unused(self) -> None:
        """Let go of tenants that nobody uses now."""
        for tenant in self.loaded():
            if not tenant.is_in_use:
                tenant.recent.forget_all()
                del self._loaded[tenant.id]

    def forget(self, tenant: Tenant) -> None:
        """Let go of a dropped tenant."""
        tenant.recent.forget_all()
        self._loaded.pop(tenant.id, None)

    def keyspace(self, tenant_id: int) -> Keyspace:
        """Return the keys of a tenant."""
        return Keyspace(tenant_id, key_bytes_max=self._key_bytes_max)

    def _make(self, record: TenantRecord, keyspace: Keyspace) -> Tenant:
        snapshot, now = self._timeline.snapshot(), self._timeline.durable_ts
        catalog_version = read_u64(snapshot, catalog_key(keyspace.prefix))
        bucket = read_row(snapshot, keyspace.prefix)
        return Tenant(
            record=record,
            keyspace=keyspace,
            recent=RecentWrites(low_water=now, keys_max=self._recent_keys_max, room=self._recent),
            catalog_version=catalog_version,
            sequenced_catalog_version=catalog_version,
            last_delete_ts=now,
            threshold=read_u64(snapshot, threshold_key(keyspace.prefix)),
            ranges=RangeMap(read_ranges(snapshot, keyspace.prefix), own_address=self.own_address),
            catalog_use=CatalogUse(oldest_valid=catalog_version),
            bucket=None if bucket is None else self._load_bucket(keyspace.prefix, bucket),
        )
