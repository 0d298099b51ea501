"""After a restart: which layers are in the store, and what becomes of them.

A layer commits if its transaction has a record and it was not dropped; all others are discarded.
"""

from collections.abc import Callable

from kvapi.errors import TenantUnknown
from kvnode.mvcc.collect import tenants_with
from kvnode.mvcc.formats import LAYER_RECORDS, layer_prefix, split_record_key, unpack_layer
from kvnode.storage.engine import Row, Snapshot, Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.layers import Layer, StagedTxn


def load_all(snapshot: Snapshot, load_tenant: Callable[[int], Tenant]) -> tuple[list[Tenant], int]:
    """Fill in the layers of all tenants; return those, and the highest number of a layer."""
    found, newest_no = list[Tenant](), 0
    for prefix in tenants_with(snapshot, Table.LAYERS):
        try:
            tenant = load_tenant(int.from_bytes(prefix, "big"))
        except TenantUnknown:
            continue
        newest_no = max(newest_no, load_layers(snapshot, tenant))
        tenant.layers.is_closed = tenant.record.is_dropping
        found.append(tenant)
    return found, newest_no


def load_layers(snapshot: Snapshot, tenant: Tenant) -> int:
    """Fill in the tenant's layers; return the highest number that one of them has."""
    committed: dict[int, StagedTxn] = {}
    records: list[Row] = []
    newest_no = 0
    for key, stored in snapshot.rows_from(Table.LAYERS, tenant.prefix):
        if not key.startswith(tenant.prefix):
            break
        kind, no = split_record_key(key)
        newest_no = max(newest_no, no)
        if kind == LAYER_RECORDS:
            records.append((key, stored))
        else:
            committed[no] = _past(tenant, no)
            committed[no].commit_ts = int.from_bytes(stored, "big")
    layers = tenant.layers
    for key, stored in records:
        txn_no, is_dropped, size_bytes = unpack_layer(stored)
        layer = _layer(tenant, split_record_key(key)[1], size_bytes)
        layers.size_bytes += size_bytes
        if txn_no in committed and not is_dropped:
            committed[txn_no].layers.append(layer)
        else:
            layers.discarding.append((_past(tenant, txn_no), layer))
    for txn in sorted(committed.values(), key=lambda txn: txn.commit_ts):
        if not txn.layers:  # its chunks failed; the record goes the usual way
            txn.layers.append(_layer(tenant, txn.no, 0))
        layers.sequence(txn, txn.commit_ts)
        txn.is_durable = True
    return newest_no


def _past(tenant: Tenant, no: int) -> StagedTxn:
    return StagedTxn(no, tenant, owner=None, txn_id=b"", seen_s=0.0, is_over=True)


def _layer(tenant: Tenant, no: int, size_bytes: int) -> Layer:
    layer = Layer(no, number=0, prefix=layer_prefix(tenant.prefix, no), size_bytes=size_bytes)
    layer.low, layer.high = tenant.prefix, tenant.keyspace.end
    return layer
