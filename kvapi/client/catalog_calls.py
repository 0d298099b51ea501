"""CatalogUse: which catalog versions this client still uses, and which anybody does."""

import asyncio
from collections.abc import Collection
from typing import NamedTuple

from kvapi.client import operations as ops
from kvapi.client.request_stream import RequestStream

Relations = Collection[int]
"""Ids of relations, as the SQL process numbers them."""


class SchemaChange(NamedTuple):
    """What a commit says that changes the schema; it makes a newer catalog version."""

    keeps_previous: bool = False  # what was planned against the version before stays valid
    relations: Relations = ()  # whom it concerns; none: it may concern any


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
