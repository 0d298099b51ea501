"""How many locks one transaction, one stream, one tenant and the node may hold.

**Model.** A tenant may hold three quarters of the node's locks, divided by the number of tenants
that hold any. Who holds how many is counted only when the node has more than one share may be.
"""

from collections.abc import Collection
from typing import Final

from kvapi.errors import RequestTooLarge, Throttled
from kvnode.core import Core
from kvnode.txn.lock_queue import Owner

LOCK_KEYS_MAX: Final = 2_048  # of one request: what a turn of the loop may take
_TXNS_MAX: Final = 65_536  # of one stream that hold locks
_OPEN: Final = 0.75  # of the node's locks; the rest is for those within their share of these
_WAIT_MS: Final = 1000


def check_lock_bounds(
    core: Core, owners: Collection[Owner], owner: Owner, *, tenant_id: int, count: int
) -> None:
    """Refuse `count` more locks of `owner`, one of the stream's `owners`, where they are too many.

    The stream's own are counted only when the node holds more than one transaction may.
    Raises: RequestTooLarge, Throttled.
    """
    table, config = core.locks.table, core.config
    if count > LOCK_KEYS_MAX:
        raise RequestTooLarge("too many keys in one lock request", number=LOCK_KEYS_MAX)
    if table.held_count(owner) + count > config.locks_max:
        raise RequestTooLarge("the transaction holds too many locks", number=config.locks_max)
    if len(owners) >= _TXNS_MAX and owner not in owners:
        raise Throttled("too many transactions of one stream hold locks", number=_WAIT_MS)
    is_many = len(table) + count > config.locks_max
    if is_many and sum(map(table.held_count, owners)) + count > config.locks_max:
        raise Throttled("the stream holds too many locks", number=_WAIT_MS)
    if not _has_room(core, tenant_id, count):
        message = "the tenant holds too many locks for [kvnode] memory_bytes_max"
        raise Throttled(message, number=_WAIT_MS)


def _has_room(core: Core, tenant_id: int, count: int) -> bool:
    """Tell whether the node's memory has room for so many more locks of a tenant."""
    most, table = core.memory.locks_max, core.locks.table
    opened, total = int(most * _OPEN), len(table) + count
    if 2 * total <= opened:
        return True
    if total > most:
        return False
    held: dict[int, int] = {tenant_id: count}
    for stream_id, of_stream in table.held.by_stream.items():
        # Streams that closed under their commits count as one more tenant.
        key = core.stream_tenants.get(stream_id, -1) if isinstance(stream_id, int) else -1
        held[key] = held.get(key, 0) + of_stream
    own = held[tenant_id]
    return own == count or own * len(held) <= opened or own + total <= opened
