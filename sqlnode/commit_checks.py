"""What must still hold at the commit below SERIALIZABLE: what constraints and DDL rest on.

**Model.** A unique key that was free, a parent without children: nothing there can be locked. Such
a check reads what is committed now, and the commit validates that this did not change. So with the
rows that a new index is made of, or that a new constraint was found true of. Everything else that a
weaker level reads may change, so it stays out of this footprint.

What DDL rests on is kept apart: later statements read only while it is so, and it goes with the DDL
if that is taken back. Constraints' checks of undone statements stay: they only cost.

**Invariants.** `read_ts` is never later than what any check is known to hold until.
"""

from collections.abc import Iterable

from kvapi.client.kv_client import KvClient
from kvapi.footprint import Footprint
from kvapi.spans import Span
from sqlnode.read_footprint import ReadFootprint

Relied = tuple[Footprint, ...]


class CommitChecks:
    """Collects checks of one transaction."""

    def __init__(self) -> None:
        self.relied: Relied = ()  # by DDL; each value is a mark to go back to
        self._relied_ts = 0  # of the oldest of them; 0: there is none
        self._reads = ReadFootprint()  # by constraints
        self._reads_ts = 0

    @property
    def read_ts(self) -> int:
        """The time of the oldest check; 0: there is none."""
        return min(filter(None, (self._reads_ts, self._relied_ts)), default=0)

    def add(self, footprint: Footprint, *, read_ts: int) -> None:
        """Require that nothing in `footprint` changes from `read_ts` to the commit.

        0: none of it is from the store, but from what this transaction writes.
        """
        if read_ts and (footprint.keys or footprint.spans):
            _extend(self._reads, (footprint,))
            self._reads_ts = min(self._reads_ts or read_ts, read_ts)

    def rely_on(self, footprint: Footprint, *, read_ts: int) -> None:
        """As `add`, for DDL: `refresh` looks at it, `undo_to` takes it back."""
        if read_ts and (footprint.keys or footprint.spans):
            self.relied += (footprint,)
            self._relied_ts = min(self._relied_ts or read_ts, read_ts)

    def undo_to(self, relied: Relied) -> None:
        """Make `relied` again all that DDL relies on."""
        self.relied = relied
        if not relied:
            self._relied_ts = 0

    async def refresh(self, client: KvClient, txn_id: bytes) -> int:
        """Validate what DDL relies on now; return the time. Raises: WriteConflict, KvError."""
        relied, since = self.relied, self._relied_ts
        footprint = _extend(ReadFootprint(), relied).footprint()
        until = await client.refresh(txn_id=txn_id, read_ts=since, footprint=footprint)
        if self.relied is relied:  # else what came meanwhile counts from its own time
            self._relied_ts = until
        return until

    def footprint(self) -> Footprint:
        """Return what the commit is to validate."""
        if not self.relied:
            return self._reads.footprint()
        every = _extend(ReadFootprint(), self.relied)
        return _extend(every, (self._reads.footprint(),)).footprint()


def _extend(reads: ReadFootprint, footprints: Iterable[Footprint]) -> ReadFootprint:
    for footprint in footprints:
        for key in footprint.keys:
            reads.add_key(key)
        for start, end in footprint.spans:
            reads.add_span(Span(start, end))
    return reads
