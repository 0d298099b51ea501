"""Which keys are locked by intents: what the lock table asks.

**Invariants.** An intent locks its key while its transaction holds, dropped layers included.
Nothing is kept here for a key: its intent is looked up in the store.
"""

from collections.abc import Sequence

from kvnode.mvcc.formats import TENANT_BYTES
from kvnode.tenants.tenant import Tenant
from kvnode.txn.lock_queue import Owner
from kvnode.txn.timeline import Timeline


class IntentHolds:
    """Owner: the event loop."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.tenants: dict[bytes, Tenant] = {}  # that have transactions holding intents

    def owners_of(self, keys: Sequence[bytes]) -> dict[bytes, Owner]:
        """Return whose intents are on those of `keys`, all of one tenant, that have one."""
        tenant = self.tenants.get(keys[0][:TENANT_BYTES]) if keys else None
        if tenant is None:
            return {}
        staging = tenant.layers.staging
        found = {key: staging[key].owner for key in keys if key in staging} if staging else {}
        snapshot = self._timeline.snapshot()
        for owner, txn in tenant.layers.holding.items():
            for key in txn.locks(snapshot, keys):
                found.setdefault(key, owner)
        return found

    def held_by_others(self, owner: Owner, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of `keys` on which another owner than `owner` has an intent."""
        tenant = self.tenants.get(keys[0][:TENANT_BYTES]) if keys else None
        if tenant is None:
            return []
        layers = tenant.layers
        held: dict[bytes, None] = {}
        if layers.staging:
            for key in keys:
                entry = layers.staging.get(key)
                if entry is not None and entry.owner != owner:
                    held[key] = None
        snapshot = self._timeline.snapshot()
        for holder, txn in layers.holding.items():
            if holder != owner:
                held.update(dict.fromkeys(txn.locks(snapshot, keys)))
        return list(held)

    def has_intent(self, owner: Owner, key: bytes) -> bool:
        """Tell whether `owner` has an intent on `key` that may still commit."""
        tenant = self.tenants.get(key[:TENANT_BYTES])
        txn = tenant.layers.holding.get(owner) if tenant is not None else None
        if tenant is None or txn is None:
            return False
        staging = tenant.layers.staging.get(key)
        if staging is not None and staging.owner == owner:
            return True
        return bool(txn.intents_on(self._timeline.snapshot(), [key]))
