"""Tenants come, change and go.

**Model.** Each step is one durable write through group commit. Creation is a single write: record,
name, catalog version and the owner's role. Dropping first marks the record, so that nobody gets in
any more and a restart goes on with it; then removes the tenant's rows in quanta; then the record.

**Invariants.** Ids are never used again. After `drop` returned, no table holds a byte of the
tenant.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final

import msgspec

from kvapi.errors import KvError, TenantUnknown, WriteConflict
from kvapi.footprint import Footprint
from kvapi.layout import ROLES_SPAN, role_key
from kvapi.role_record import RoleRecord, decode_role, encode_role
from kvnode.admission.elastic import elastic_turn
from kvnode.core import Core
from kvnode.mvcc.apply import apply_writes
from kvnode.mvcc.collect import remove_prefix
from kvnode.mvcc.formats import TENANT_BYTES
from kvnode.mvcc.overlay import find_intent, find_intents
from kvnode.mvcc.point_read import ABSENT, read_key
from kvnode.ranges.descriptor import area_prefix
from kvnode.storage.engine import Table, WriteTxn
from kvnode.tenants.bucket_row import bucket_key
from kvnode.tenants.keyspace import Keyspace
from kvnode.tenants.records import (
    NEWEST_TS,
    NEXT_TENANT_ID,
    TenantRecord,
    catalog_key,
    change_sizes,
    encode_record,
    name_key,
    record_key,
    sizes_key,
    threshold_key,
    write_u64,
)
from kvnode.tenants.tenant import Tenant
from kvnode.tenants.usage import usage_prefix
from kvnode.txn.layers import NEVER
from kvnode.txn.sequencer import CommitRequest
from runtime.tasks import spawn

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
WEIGHT_MIN: Final = 1.0
WEIGHT_MAX: Final = 100.0
_USER_BYTES_MAX: Final = 63
_ROWS_PER_WRITE: Final = 5_000
_PASSWORD_TRIES: Final = 10


class NameInvalid(ValueError):
    """A name or setting that cannot be used; the message says why."""


class TenantExists(Exception):
    """The tenant's name is taken."""


class TenantLifecycle:
    """Creates, changes and drops tenants. Owner: the event loop."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._drops: dict[int, asyncio.Task[int]] = {}  # tenant → the drop under way
        self.on_event: Callable[[str, Tenant], None] = lambda _kind, _tenant: None

    async def create(
        self, name: str, user: str, verifier: str, *, gc_ttl_s: float | None = None
    ) -> Tenant:
        """Create a tenant with one owner. Raises: NameInvalid, TenantExists, KvError."""
        check_name(name)
        check_user(user)
        self._check_gc_ttl(gc_ttl_s)
        reservation = self._core.tenants.reserve(name)
        if reservation is None:
            raise TenantExists(f'tenant "{name}" already exists')
        tenant_id, end_reservation = reservation
        created_ms = self._core.clock.now_ns() // 1_000_000
        record = TenantRecord(
            id=tenant_id,
            name=name,
            created_unix_ms=created_ms,
            gc_ttl_s=self._core.config.gc_ttl_s if gc_ttl_s is None else gc_ttl_s,
        )
        keyspace = self._core.tenants.keyspace(tenant_id)
        commit_ts = self._core.timeline.hlc.now()
        owner = _owner(user, verifier, created_ms)

        def work(txn: WriteTxn) -> None:
            _write_new_tenant(txn, record, keyspace, owner, commit_ts)

        try:
            await self._core.write(tenant_id, work, commit_ts=commit_ts)
        finally:
            # Not at once: if the operator does not wait any more, the write is still on its way.
            self._core.group.after_queued(end_reservation)
        tenant = self._core.tenants.load(tenant_id)
        self.on_event("created", tenant)
        return tenant

    async def change(
        self,
        name: str,
        *,
        suspended: bool | None = None,
        gc_ttl_s: float | None = None,
        weight: float | None = None,
    ) -> Tenant:
        """Change a tenant's settings. Raises: TenantUnknown, NameInvalid, KvError."""
        self._check_gc_ttl(gc_ttl_s)
        check_weight(weight)
        tenant = self._find(name)
        changes: dict[str, object] = {}
        if suspended is not None:
            changes["suspended"] = suspended
        if gc_ttl_s is not None:
            changes["gc_ttl_s"] = gc_ttl_s
        if weight is not None:
            changes["weight"] = weight
        await self._store_record(tenant, msgspec.structs.replace(tenant.record, **changes))
        self._core.set_weight(tenant.id, tenant.record.weight)
        self.on_event("changed", tenant)
        return tenant

    def _check_gc_ttl(self, gc_ttl_s: float | None) -> None:
        low, high = self._core.config.gc_ttl_s_min, self._core.config.gc_ttl_s_max
        if gc_ttl_s is not None and not low <= gc_ttl_s <= high:  # NaN is refused as well
            raise NameInvalid(f"gc_ttl_s must be from {low:g} to {high:g} seconds")

    async def set_password(self, name: str, user: str, verifier: str) -> None:
        """Set a user's verifier; an unknown user is created as an owner.

        Raises: TenantUnknown, NameInvalid, KvError.
        """
        check_user(user)
        tenant = self._find(name)
        for tries_left in range(_PASSWORD_TRIES - 1, -1, -1):
            try:
                await self._store_verifier(tenant, user, verifier)
                break
            except WriteConflict:  # the tenant changed the role at the same time
                if not tries_left:
                    raise
        self.on_event("changed", tenant)

    async def _store_verifier(self, tenant: Tenant, user: str, verifier: str) -> None:
        read_ts = self._core.timeline.durable_ts
        role = self.find_role(tenant, user)
        if role is None:
            role = _owner(user, verifier, self._core.clock.now_ns() // 1_000_000)
        else:
            role = msgspec.structs.replace(role, scram_verifier=verifier)
        (key,) = tenant.keyspace.written_keys([role_key(user)])
        done: asyncio.Future[int] = self._core.loop.create_future()

        def answer(commit_ts: int, error: KvError | None) -> None:
            if not done.done():
                done.set_result(commit_ts) if error is None else done.set_exception(error)

        self._core.sequencer.commit(
            CommitRequest(
                tenant=tenant,
                owner=object(),
                txn_id=b"",
                read_ts=read_ts,
                catalog_version=0,
                puts={key: encode_role(role)},
                deletes=(),
                answer=answer,
                footprint=Footprint([key], []),
            )
        )
        await done

    def find_role(self, tenant: Tenant, user: str) -> RoleRecord | None:
        """Return a tenant's role, or None."""
        key = tenant.keyspace.key(role_key(user))
        snapshot = self._core.timeline.snapshot()
        found = find_intent(snapshot, tenant.layers.overlay(NEVER), key)
        value = (found or read_key(snapshot, key, read_ts=NEVER, deleted_since=False)).value
        return decode_role(value) if value is not None else None

    def users(self, tenant: Tenant) -> list[str]:
        """Return the names of a tenant's roles."""
        start, end = tenant.keyspace.span(*ROLES_SPAN)
        prefix_bytes, snapshot = len(start), self._core.timeline.snapshot()
        keys: list[bytes] = []
        for key, _ in snapshot.rows_from(Table.LIVE, start):
            if key >= end:
                break
            keys.append(key)
        overlay = tenant.layers.overlay(NEVER)
        gone = find_intents(snapshot, overlay, keys) if overlay else {}
        kept = [key for key in keys if gone.get(key) != ABSENT]
        return [key[prefix_bytes:].decode(errors="replace") for key in kept]

    async def drop(self, name: str) -> int:
        """Remove a tenant; return how many live keys it had. Raises: TenantUnknown, KvError.

        Goes on if nobody waits for it any more; one that failed half-way may be repeated.
        """
        return await self._in_background(self._core.tenants.find(name))

    async def finish_drops(self) -> None:
        """Go on with what a crash interrupted."""
        for record in list(self._core.tenants.records(count_max=1 << 32)):
            if record.is_dropping and record.id not in self._drops:
                await self._in_background(self._core.tenants.load(record.id))

    async def _in_background(self, tenant: Tenant) -> int:
        if tenant.id in self._drops:
            raise TenantUnknown(f'tenant "{tenant.record.name}" is being dropped')
        drop = self._drops[tenant.id] = spawn(self._drop(tenant), name="drop-tenant")
        drop.add_done_callback(lambda _: self._drops.pop(tenant.id, None))
        return await asyncio.shield(drop)

    async def _drop(self, tenant: Tenant) -> int:
        record = tenant.record
        if not record.is_dropping:
            tenant.record = msgspec.structs.replace(record, is_dropping=True)  # nobody gets in
            try:
                await self._store_record(tenant, tenant.record)
            except KvError:
                tenant.record = record
                raise
            self.on_event("dropped", tenant)
        return await self._remove(tenant)

    def _find(self, name: str) -> Tenant:
        tenant = self._core.tenants.find(name)
        if tenant.record.is_dropping:
            raise TenantUnknown(f'tenant "{name}" is being dropped')
        return tenant

    async def _remove(self, tenant: Tenant) -> int:
        for close in list(tenant.close_streams.values()):
            close(TenantUnknown("the tenant was dropped"))
        await self._core.intents.close_tenant(tenant)
        live_count = 0
        for table in Table:
            if table is Table.SYSTEM:
                continue
            removed = _ROWS_PER_WRITE
            while removed == _ROWS_PER_WRITE:
                removed = await self._remove_some(tenant, table, tenant.prefix)
                live_count += removed if table is Table.LIVE else 0
        for area in (area_prefix(tenant.prefix), usage_prefix(tenant.prefix)):
            while await self._remove_some(tenant, Table.SYSTEM, area) == _ROWS_PER_WRITE:
                pass  # as many again
        await self._core.write(tenant.id, lambda txn: _remove_records(txn, tenant.record))
        tenant.is_dropped = True
        self._core.tenants.forget(tenant)
        return live_count

    async def _remove_some(self, tenant: Tenant, table: Table, prefix: bytes) -> int:
        counts: list[int] = []

        def work(txn: WriteTxn) -> None:
            counts[:] = [remove_prefix(txn, table, prefix, rows_max=_ROWS_PER_WRITE)]

        await elastic_turn(self._core.scheduler, tenant.id)
        await self._core.write(tenant.id, work)
        return counts[0]

    async def _store_record(self, tenant: Tenant, record: TenantRecord) -> None:
        def work(txn: WriteTxn) -> None:
            txn.put(Table.SYSTEM, record_key(tenant.prefix), encode_record(record))

        await self._core.write(tenant.id, work)
        if record.is_dropping or not tenant.record.is_dropping:
            tenant.record = record  # not if a drop began meanwhile


def check_name(name: str) -> None:
    """Refuse a tenant's name that could not be routed to. Raises: NameInvalid."""
    if not _NAME.fullmatch(name):
        raise NameInvalid(
            f"{name!r} cannot name a tenant: use 1 to 63 of a-z, 0-9, _ and -, "
            "beginning with a letter or digit"
        )


def check_weight(weight: float | None) -> None:
    """Refuse a share of the node that is out of bounds. Raises: NameInvalid."""
    if weight is not None and not WEIGHT_MIN <= weight <= WEIGHT_MAX:  # NaN is refused as well
        raise NameInvalid(f"weight must be from {WEIGHT_MIN:g} to {WEIGHT_MAX:g}")


def check_user(user: str) -> None:
    """Refuse a user's name that PostgreSQL would not take. Raises: NameInvalid."""
    if not user or "\x00" in user or len(user.encode(errors="replace")) > _USER_BYTES_MAX:
        raise NameInvalid(f"a user name has 1 to {_USER_BYTES_MAX} bytes and no zero byte")


def _owner(user: str, verifier: str, created_ms: int) -> RoleRecord:
    return RoleRecord(
        name=user,
        scram_verifier=verifier,
        can_login=True,
        is_owner=True,
        is_superuser=True,
        created_unix_ms=created_ms,
    )


def _write_new_tenant(
    txn: WriteTxn, record: TenantRecord, keyspace: Keyspace, owner: RoleRecord, commit_ts: int
) -> None:
    prefix = keyspace.prefix
    write_u64(txn, NEXT_TENANT_ID, record.id + 1)
    txn.put(Table.SYSTEM, record_key(prefix), encode_record(record))
    txn.put(Table.SYSTEM, name_key(record.name), prefix)
    write_u64(txn, catalog_key(prefix), commit_ts)
    write_u64(txn, threshold_key(prefix), commit_ts)  # there is nothing to read before
    (key,) = keyspace.written_keys([role_key(owner.name)])
    puts = {key: encode_role(owner)}
    change = apply_writes(txn, tenant=prefix, commit_ts=commit_ts, puts=puts, deletes=())
    change_sizes(txn, prefix, change)
    write_u64(txn, NEWEST_TS, commit_ts)


def _remove_records(txn: WriteTxn, record: TenantRecord) -> None:
    prefix = record.id.to_bytes(TENANT_BYTES, "big")
    txn.delete(Table.SYSTEM, name_key(record.name))
    for key in (catalog_key, sizes_key, threshold_key, bucket_key, record_key):
        txn.delete(Table.SYSTEM, key(prefix))
