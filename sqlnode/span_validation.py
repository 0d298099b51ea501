"""Has a span changed since it was read? For whoever still has what it read."""

from kvapi.client.kv_client import KvClient
from kvapi.errors import SnapshotTooOld, WriteConflict
from kvapi.footprint import Footprint
from kvapi.spans import Span


async def valid_until(
    client: KvClient, span: Span, *, txn_id: bytes, read_ts: int, catalog_version: int
) -> int:
    """Return a timestamp until which `span` is as it was at `read_ts`, 0 if that is not known.

    One short round trip instead of a scan.
    """
    try:
        return await client.refresh(
            txn_id=txn_id,
            read_ts=read_ts,
            footprint=Footprint([], [span]),
            catalog_version=catalog_version,
        )
    except (WriteConflict, SnapshotTooOld):
        return 0
