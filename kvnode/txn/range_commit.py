"""Commits over several ranges of one store, as one write or range by range.

**Model.** All ranges of a store share its writer. So by default a commit is one write, however many
ranges it touches: the steps of DESIGN §6 in one LMDB transaction. With `[kvnode] range_commit =
"staged"` each range is a participant of its own, as if it had a log of its own:

    prewrite: one chunk of intents for each range, each durable by itself
      └─ all durable ─▶ timestamp ─▶ validation ─▶ the record flips ─▶ answer ─▶ intents resolved
      └─ one refused ─▶ all intents discarded

The steps are those of large transactions (`intents.py`), so recovery is theirs as well: after a
crash layers with a record are resolved, those without one are discarded. A commit too large for
one write goes the same way, cut into pieces.

**Invariants.** Before the record is durable nothing of the transaction can be seen, after it
everything. A key that must be absent is checked under its intent, so it stays absent.

**Concurrency.** Owner: the event loop.
"""

from dataclasses import dataclass, field
from typing import Final

from kvapi.errors import BadRequest, Cancelled, KvError
from kvnode.mvcc.formats import TENANT_BYTES
from kvnode.txn.intents import Intents
from kvnode.txn.layers import StageRequest
from kvnode.txn.lock_waits import LockWaits
from kvnode.txn.sequencer import CommitRequest, Sequencer

_STATEMENT: Final = "COMMIT"
_WHOLE_BYTES_MAX: Final = 2 << 20  # a larger commit would hold up all others


@dataclass(slots=True)
class _Prewrite:
    """One commit on its way to the sequencer."""

    chunks: list[StageRequest] = field(default_factory=list)
    missing: int = 0
    error: KvError | None = None


class RangeCommits:
    """Brings commits to the sequencer."""

    def __init__(
        self, intents: Intents, sequencer: Sequencer, locks: LockWaits, *, is_staged: bool
    ) -> None:
        self._intents = intents
        self._sequencer = sequencer
        self._locks = locks
        self._is_staged = is_staged
        self._prewrites: dict[CommitRequest, _Prewrite] = {}  # bounded as commits are
        self.staged_count = 0

    def commit(self, request: CommitRequest) -> None:
        """Commit, or say why not, through `request.answer`."""
        # Without an id there is no outcome to ask for, so nobody could tell what became of it.
        is_large = request.size_bytes > _WHOLE_BYTES_MAX
        by_range = self._is_staged and len(request.tenant.ranges.states) > 1
        if request.txn_id and (is_large or by_range) and (request.puts or request.deletes):
            chunks = self._chunks(request, by_range=by_range)
            if is_large or len(chunks) > 1:
                self._prewrite(request, chunks)
                return
        self._sequencer.commit(request)

    def cancel(self, request: CommitRequest) -> None:
        """Give up a commit that still waits for a lock; what is being written goes on."""
        prewrite = self._prewrites.get(request)
        if prewrite is None:
            self._sequencer.cancel(request)
            return
        for chunk in prewrite.chunks:
            self._intents.cancel(chunk, Cancelled("canceled by the client"))

    def _chunks(self, request: CommitRequest, *, by_range: bool) -> list[StageRequest]:
        """Return what each range is to write, in key order, or all of it as one chunk."""
        ranges = request.tenant.ranges
        chunks: dict[int, StageRequest] = {}
        for key, value in request.puts.items():
            index = ranges.index_of(key[TENANT_BYTES:]) if by_range else 0
            self._chunk(chunks, request, index).puts[key] = value
        for key in request.deletes:
            index = ranges.index_of(key[TENANT_BYTES:]) if by_range else 0
            self._chunk(chunks, request, index).deletes.append(key)
        for chunk in chunks.values():
            chunk.absent_keys = [key for key in request.absent_keys if key in chunk.puts]
            chunk.size_bytes = max(1, request.size_bytes // len(chunks))
        return [chunks[index] for index in sorted(chunks)]

    def _chunk(
        self, chunks: dict[int, StageRequest], request: CommitRequest, index: int
    ) -> StageRequest:
        if (chunk := chunks.get(index)) is None:
            chunk = chunks[index] = StageRequest(
                tenant=request.tenant,
                owner=request.owner,
                txn_id=request.txn_id,
                number=0,
                puts={},
                deletes=[],
                absent_keys=(),
                statement=_STATEMENT,
                size_bytes=0,
                rank=request.rank,
                is_commit=True,
                answer=lambda _, error: self._prewritten(request, error),
            )
        return chunk

    def _prewrite(self, request: CommitRequest, chunks: list[StageRequest]) -> None:
        self.staged_count += 1
        self._prewrites[request] = _Prewrite(chunks, missing=len(chunks))
        for chunk in chunks:
            try:
                self._intents.stage(chunk)
            except KvError as error:
                self._prewritten(request, error)

    def _prewritten(self, request: CommitRequest, error: KvError | None) -> None:
        prewrite = self._prewrites[request]
        prewrite.error = prewrite.error or error
        prewrite.missing -= 1
        if prewrite.missing:
            return
        del self._prewrites[request]
        request.cpu_s = sum(chunk.cpu_s for chunk in prewrite.chunks)
        try:
            if prewrite.error is not None:
                raise prewrite.error
            request.staged = self._intents.find(request.tenant, request.owner)
            if request.staged is None:
                raise BadRequest("the transaction was rolled back")
        except KvError as failed:
            self._give_up(request, failed)
            return
        written = request.puts
        request.puts, request.deletes, request.is_prewritten = {}, (), True
        request.absent_keys = [key for key in request.absent_keys if key not in written]
        self._sequencer.commit(request)

    def _give_up(self, request: CommitRequest, error: KvError) -> None:
        self._intents.rollback(request.tenant, request.owner)
        request.answer(0, error)
        self._locks.release(request.owner)
