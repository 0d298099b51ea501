"""How many locks one transaction, one stream and the node may hold."""

from collections.abc import Collection
from typing import Final

from kvapi.errors import RequestTooLarge, Throttled
from kvnode.node_config import NodeConfig
from kvnode.txn.lock_queue import Owner
from kvnode.txn.lock_table import LockTable

LOCK_KEYS_MAX: Final = 2_048  # of one request: what a turn of the loop may take
_TXNS_MAX: Final = 65_536  # of one stream that hold locks
_WAIT_MS: Final = 1000


def check_lock_bounds(
    table: LockTable, owners: Collection[Owner], owner: Owner, count: int, config: NodeConfig
) -> None:
    """Refuse `count` more locks of `owner`, one of the stream's `owners`, where they are too many.

    The stream's own are counted only when the node holds more than one transaction may.
    Raises: RequestTooLarge, Throttled.
    """
    if count > LOCK_KEYS_MAX:
        raise RequestTooLarge("too many keys in one lock request", number=LOCK_KEYS_MAX)
    if table.held_count(owner) + count > config.locks_max:
        raise RequestTooLarge("the transaction holds too many locks", number=config.locks_max)
    if len(owners) >= _TXNS_MAX and owner not in owners:
        raise Throttled("too many transactions of one stream hold locks", number=_WAIT_MS)
    if len(table) + count > config.locks_max:
        if sum(map(table.held_count, owners)) + count > config.locks_max:
            raise Throttled("the stream holds too many locks", number=_WAIT_MS)
        if len(table) + count > config.locks_node_max:
            raise Throttled("the KV node holds too many locks", number=_WAIT_MS)
