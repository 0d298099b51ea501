"""Has a span changed since it was read? For whoever still has what it read."""

from typing import TYPE_CHECKING

from kvapi.client.kv_client import KvClient
from kvapi.errors import SchemaChanged, SnapshotTooOld, WriteConflict
from kvapi.footprint import Footprint
from kvapi.spans import Span

if TYPE_CHECKING:
    from sqlnode.txn_reads import TransactionReads


async def valid_until(
    client: KvClient, span: Span, txn: "TransactionReads", *, read_ts: int
) -> int:
    """Return a timestamp until which `span` is as it was at `read_ts`, 0 if that is not known.

    One short round trip instead of a scan.
    """
    while True:
        try:
            return await client.refresh(
                txn_id=txn.txn_id,
                read_ts=read_ts,
                footprint=Footprint([], [span]),
                catalog_version=txn.catalog_version,
                relations=(told := txn.used.told),
            )
        except (WriteConflict, SnapshotTooOld):
            return 0
        except SchemaChanged:
            if not txn.used.tell(told):
                raise
