"""Waiting, before a change begins, for transactions that still work with an older catalog.

The commit that begins a change leaves the version before it valid, no older one: whoever still used
an older one would fail.
"""

import asyncio
from contextlib import suppress
from typing import Final

from kvapi.client.kv_client import KvClient
from kvapi.errors import LockTimeout, SchemaChanged
from sqlnode.txn import Transaction

_PAUSE_S_MIN: Final = 0.002
_PAUSE_S_MAX: Final = 0.1


async def wait_for_older(kv: KvClient, txn: Transaction, *, timeout_ms: int) -> None:
    """Wait until nobody uses a catalog older than that of `txn`, the newest one.

    `timeout_ms` 0: as long as it takes. Raises: LockTimeout, SchemaChanged if there is a newer one,
    for which `txn` itself would be waited for.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_ms / 1000 if timeout_ms else None):
            await _wait(kv, txn.catalog_version)
            return
    raise LockTimeout("transactions with an older catalog are still open")


async def _wait(kv: KvClient, version: int) -> None:
    pause_s = _PAUSE_S_MIN
    while await kv.catalog_use() != version:
        if kv.catalog_version != version:
            raise SchemaChanged("the catalog has changed", number=kv.catalog_version)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _PAUSE_S_MAX)
