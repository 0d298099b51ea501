"""Whether a key exists now: queued writes and those of large transactions count."""

from collections.abc import Sequence

from kvnode.storage.engine import Snapshot, Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.layers import StagedTxn


def first_existing(
    snapshot: Snapshot, tenant: Tenant, keys: Sequence[bytes], *, own: StagedTxn | None
) -> bytes | None:
    """Return the first of `keys` that exists as `own` sees it at the newest commit, or None."""
    if not keys:
        return None
    live, pending, layers = snapshot.get_many(Table.LIVE, keys), tenant.pending, tenant.layers
    if not live and not pending and not layers.committed and own is None:
        return None
    exists = {key: True for key in live}
    newest: dict[bytes, int] = {}
    for txn in layers.committed:
        for key, version in txn.intents_on(snapshot, keys).items():
            exists[key] = version.value is not None
            newest[key] = txn.commit_ts
    if pending:
        for key in keys:
            if (change := pending.get(key)) is not None and change[0] > newest.get(key, 0):
                exists[key] = change[1]
    if own is not None:
        for key, version in own.intents_on(snapshot, keys).items():
            exists[key] = version.value is not None
        staging = layers.staging
        for key in keys if staging else ():
            if (entry := staging.get(key)) is not None and entry.owner == own.owner:
                exists[key] = entry.is_put
    return next((key for key in keys if exists.get(key, False)), None)
