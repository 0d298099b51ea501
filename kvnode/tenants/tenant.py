"""One tenant as the running node knows it: its record and everything volatile about it.

**Concurrency.** Owner: the event loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from kvapi.errors import KvError, SnapshotTooOld, TenantSuspended, TenantUnknown
from kvapi.pb import kv_pb2
from kvnode.admission.lane import Room
from kvnode.ranges.range_map import RangeMap
from kvnode.tenants.bucket_row import Limits
from kvnode.tenants.catalog_use import CatalogUse
from kvnode.tenants.keyspace import Keyspace
from kvnode.tenants.protections import Protections
from kvnode.tenants.records import TenantRecord
from kvnode.tenants.tenant_bucket import TenantBucket
from kvnode.txn.layers import TenantLayers
from kvnode.txn.recent_writes import RecentWrites

CounterState = tuple[int, bool]  # value, is_called


@dataclass(slots=True, eq=False)
class Tenant:
    """A loaded tenant.

    `pending` maps keys of commits that are not durable yet to (commit_ts, exists afterwards).
    `counters` holds what increments that are not durable yet will leave, None for "deleted".
    """

    record: TenantRecord
    keyspace: Keyspace
    recent: RecentWrites
    catalog_version: int
    sequenced_catalog_version: int
    last_delete_ts: int
    threshold: int  # snapshots before it are garbage
    catalog_use: CatalogUse
    ranges: RangeMap = field(default_factory=RangeMap)
    is_dropped: bool = False
    pending: dict[bytes, tuple[int, bool]] = field(default_factory=dict)
    counters: dict[bytes, tuple[CounterState | None, int]] = field(default_factory=dict)
    reads: dict[object, int] = field(default_factory=dict)  # running scan → its read_ts
    protections: Protections = field(default_factory=Protections)
    layers: TenantLayers = field(default_factory=TenantLayers)
    lane_room: Room = field(default_factory=Room)  # requests that wait, of all its streams
    close_streams: dict[object, Callable[[KvError], None]] = field(default_factory=dict)
    bucket: TenantBucket | None = None  # of a limited tenant
    bucket_writes: int = 0  # of it that are not durable yet
    changing_limits: asyncio.Lock = field(default_factory=asyncio.Lock)
    on_limits: dict[object, Callable[[], None]] = field(default_factory=dict)  # stream → tell it

    @property
    def id(self) -> int:
        """The tenant's number."""
        return self.record.id

    @property
    def prefix(self) -> bytes:
        """What all its keys start with."""
        return self.keyspace.prefix

    @property
    def limits(self) -> Limits:
        """What the operator allows it."""
        return Limits() if self.bucket is None else self.bucket.limits

    @property
    def is_in_use(self) -> bool:
        """Whether a stream, a scan or a write still needs this object."""
        is_changing = self.sequenced_catalog_version != self.catalog_version
        is_changing = is_changing or self.ranges.is_changing
        return is_changing or bool(
            self.close_streams
            or self.reads
            or self.pending
            or self.counters
            or self.layers.is_in_use
            or self.bucket_writes
        )

    def refusal(self) -> KvError | None:
        """Return why requests are refused, or None."""
        if self.is_dropped or self.record.is_dropping:
            return TenantUnknown("the tenant was dropped")
        if self.record.suspended:
            return TenantSuspended("the tenant is suspended")
        return None

    def check_readable(self, read_ts: int) -> None:
        """Refuse a snapshot that is partly garbage. Raises: SnapshotTooOld."""
        if read_ts < self.threshold:
            message = "the snapshot is older than the garbage collection threshold"
            raise SnapshotTooOld(message, number=self.threshold)

    def check_catalog(self, request: kv_pb2.Request) -> None:
        """Refuse what was planned against a catalog that is not valid. Raises: SchemaChanged."""
        planned_version = request.catalog_version
        if planned_version and planned_version != self.catalog_version:
            self.catalog_use.check(planned_version, self.catalog_version, request.relations)

    def oldest_read(self, default: int) -> int:
        """Return the oldest snapshot that a running scan or a protection needs."""
        running = min(self.reads.values(), default=default)
        return min(default, running, self.protections.oldest_ts(default))
