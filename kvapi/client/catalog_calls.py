"""CatalogUse: which catalog versions this client still uses, and which anybody does."""

import asyncio

from kvapi.client import operations as ops
from kvapi.client.request_stream import RequestStream


class CatalogCalls:
    """The catalog operations of one client; they concern the home node only."""

    def __init__(self, stream: RequestStream) -> None:
        self._stream = stream

    def catalog_use(self, oldest_version: int = 0) -> asyncio.Future[int]:
        """Say which version is the oldest used here (0: say nothing).

        The result is the oldest in use on any of the tenant's streams: no older one is accepted
        after it. Fails with ConnectionLost.
        """
        future = asyncio.get_running_loop().create_future()
        request = self._stream.request(ops.CATALOG_USE, future, 16)
        request.catalog_use.oldest_version = oldest_version
        return future
