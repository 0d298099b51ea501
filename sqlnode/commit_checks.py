"""What must still hold at the commit below SERIALIZABLE: what constraints and DDL rest on.

**Model.** A unique key that was free, a parent without children: nothing there can be locked. Such
a check reads what is committed now, and the commit validates that this did not change. So with the
rows that a new index is made of, or that a new constraint was found true of. Everything else that a
weaker level reads may change, so it stays out of this footprint.
"""

from kvapi.client.kv_client import KvClient
from kvapi.footprint import EMPTY_FOOTPRINT, Footprint
from kvapi.spans import Span
from sqlnode.read_footprint import ReadFootprint


class CommitChecks:
    """Collects checks of one transaction. Undone statements' checks stay: they only cost."""

    def __init__(self) -> None:
        self._reads = ReadFootprint()
        self.read_ts = 0  # of the oldest check; 0: there is none

    def add(self, footprint: Footprint, *, read_ts: int) -> None:
        """Require that nothing in `footprint` changes from `read_ts` to the commit."""
        if not (footprint.keys or footprint.spans):
            return
        for key in footprint.keys:
            self._reads.add_key(key)
        for start, end in footprint.spans:
            self._reads.add_span(Span(start, end))
        self.read_ts = min(self.read_ts or read_ts, read_ts)

    async def refresh(self, client: KvClient, txn_id: bytes) -> int:
        """Validate it all now; return the time. Raises: WriteConflict, KvError."""
        footprint, since = self.footprint(), self.read_ts
        self.read_ts = 0  # for what is added meanwhile
        until = since
        try:
            until = await client.refresh(txn_id=txn_id, read_ts=since, footprint=footprint)
        finally:
            self.read_ts = min(self.read_ts or until, until)
        return until

    def footprint(self) -> Footprint:
        """Return what to validate."""
        return self._reads.footprint() if self.read_ts else EMPTY_FOOTPRINT
