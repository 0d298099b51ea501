"""What a transaction wrote: the newest part buffered here, the older part staged on the KV node.

**Model.** A buffer that outgrows `stage_bytes` moves to the KV node as a whole, so memory stays
small however much is written:

    store  <  layers on the node  <  on its way there  <  buffer

What must be undone separately lies in separate layers. A *mark* (of a savepoint or the running
statement) that lies inside the buffer when it moves cuts it in segments, a layer each; and nothing
newer than a mark is added to a layer older than it. A mark that is over costs nothing: its layers
simply belong to the one before. So there are at most as many layers as bulk statements, savepoints
and what lies between them.

A scan sees the transaction as it was when the scan began. It has its own copy of what was buffered
then, reads layers up to the newest of then, and *pins* that one, so that it does not grow.

**Invariants.** What is in flight is newer than every live mark, because statements `settle` before
they end.
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import filterfalse
from typing import Any, Final, Protocol

from kvapi.client.kv_client import KvClient
from kvapi.spans import Span
from sqlnode.staged_layers import StagedLayers
from sqlnode.write_buffer import BufferMark, Segment, WriteBuffer

STAGE_BYTES: Final = 2 << 20  # unless configured: [sqlnode] stage_bytes
Scope = Mapping[str, Any]
NO_LAYERS: Final[Scope] = {}


class OwnMark:
    """A position to go back to: in `buffer` at `at`, or above `layer` once that has moved."""

    __slots__ = ("at", "buffer", "layer")

    def __init__(self, buffer: WriteBuffer | None, at: BufferMark, layer: int = 0) -> None:
        self.buffer = buffer
        self.at = at
        self.layer = layer


class Recent(Protocol):
    """Written values by key, None: deleted."""

    def __contains__(self, key: object, /) -> bool: ...

    def __getitem__(self, key: bytes, /) -> bytes | None: ...


class _Both:
    """A buffer over what is on its way; quicker than a ChainMap."""

    __slots__ = ("_newer", "_older")

    def __init__(
        self, newer: Mapping[bytes, bytes | None], older: Mapping[bytes, bytes | None]
    ) -> None:
        self._newer = newer
        self._older = older

    def __contains__(self, key: object) -> bool:
        return key in self._newer or key in self._older

    def __getitem__(self, key: bytes) -> bytes | None:
        return self._newer[key] if key in self._newer else self._older[key]


class Visible(Protocol):
    """The own writes that a reader sees."""

    recent: Recent

    @property
    def scope(self) -> Scope:
        """What to tell the KV node with a read, so that it shows the layers."""
        ...

    def keys_in(self, span: Span) -> list[bytes]:
        """Return the keys of `recent` in `span`."""
        ...

    def has_writes_in(self, span: Span) -> bool:
        """Tell whether something in `span` may have been written."""
        ...

    @contextmanager
    def pinned(self) -> Iterator[Scope]:
        """Keep what is seen from changing."""
        ...

    async def dropped(self) -> None:
        """Wait until undone layers are gone."""
        ...


class OwnWrites:
    """All writes of one transaction. See the module."""

    def __init__(self, client: KvClient, txn_id: bytes, stage_bytes: int = STAGE_BYTES) -> None:
        self.buffer = WriteBuffer()
        self.recent: Recent = self.buffer.writes
        self.layers = StagedLayers(client, txn_id)
        self._txn_id = txn_id
        self._stage_bytes = stage_bytes
        self._moving: WriteBuffer | None = None
        self._marks: list[OwnMark] = []  # that live, oldest first
        self._pins: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.buffer) or self.layers.newest > 0

    # --- reading ------------------------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        newest = self.layers.newest
        return {"txn_id": self._txn_id, "layer_max": newest} if newest else NO_LAYERS

    def keys_in(self, span: Span) -> list[bytes]:
        keys = self.buffer.keys_in(span)
        if self._moving is not None and (more := self._moving.keys_in(span)):
            return list(dict.fromkeys([*more, *keys]))
        return keys

    def has_writes_in(self, span: Span) -> bool:
        return bool(self.keys_in(span)) or self.layers.has_writes_in(span, self.layers.newest)

    @contextmanager
    def pinned(self) -> Iterator[Scope]:
        newest = self.layers.newest
        self._pins.append(newest)
        try:
            yield self.scope
        finally:
            self._pins.remove(newest)

    async def dropped(self) -> None:
        await self.layers.dropped()

    def frozen(self) -> "FrozenWrites":
        """Return what is written now, as a statement that begins sees it until its end."""
        if self._moving is None:
            buffer = self.buffer.copy()
        else:
            buffer = WriteBuffer.of({**self._moving.writes, **self.buffer.writes})
        return FrozenWrites(self.layers, buffer, self.scope)

    # --- marks --------------------------------------------------------------------------------

    def mark(self) -> OwnMark:
        """Return the present position; it lives until `forget_marks`."""
        at = self.buffer.mark()
        newest = self._marks[-1] if self._marks else None
        if newest is not None and newest.buffer is self.buffer and newest.at == at:
            return newest
        made = OwnMark(self.buffer, at)
        self._marks.append(made)
        return made

    def forget_marks(self, last: OwnMark | None) -> None:
        """Let the marks newer than `last` die."""
        while self._marks and self._marks[-1] is not last:
            self._marks.pop()

    def undo_to(self, mark: OwnMark) -> None:
        """Take back what was written since `mark`, and the marks set since."""
        assert mark in self._marks, "a mark that died has no place to go back to"
        while self._marks[-1] is not mark:
            self._marks.pop()
        if mark.buffer is self.buffer:
            self.buffer.undo_to(mark.at)
            return
        self._moving = None
        self.layers.drop_above(mark.layer)
        self._renew()
        mark.buffer, mark.at = self.buffer, self.buffer.mark()

    # --- moving to the node -------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return self.buffer.bytes_used > self._stage_bytes

    @property
    def is_moving(self) -> bool:
        return self._moving is not None

    async def settle(self) -> None:
        """Wait until what was sent is on the node. Raises: KvError."""
        await self.layers.settle()
        if self._moving is not None:
            self._moving = None
            self.recent = self.buffer.writes

    async def spill(self, statement: str) -> tuple[Container[bytes], list[bytes]]:
        """Move the buffer to the node, of which the newest part is still on its way afterwards.

        Returns the keys moved, and those that had to be new and are gone again: nothing is left of
        them to be staged. Raises: KvError; the statement is to be undone then.
        """
        await self.settle()
        inside = [mark for mark in self._marks if mark.buffer is self.buffer]
        cuts = [at for at in dict.fromkeys(mark.at for mark in inside) if at != _START]
        *older, last = self.buffer.segments(cuts) if cuts else [_whole(self.buffer)]
        vanished = [key for segment in (*older, last) for key in _take_vanished(segment)]
        before, layer_at = self.layers.newest, {_START: self.layers.newest}
        is_marked = any(mark.at == _START for mark in inside)
        floor = before if is_marked else self._floor()
        is_grown = False  # what is staged for good cannot be sent again
        try:
            for cut, segment in zip(cuts, older, strict=True):
                if segment.writes:
                    is_grown |= self.layers.above(floor) == before
                    self.layers.send(segment.writes, segment.absent_keys, statement)
                    await self.layers.settle()
                layer_at[cut] = floor = self.layers.newest
        except BaseException as error:
            if is_grown:
                self.layers.fail(error)
            else:
                self.layers.drop_above(before)
            raise
        for mark in inside:
            mark.buffer, mark.layer = None, layer_at[mark.at]
        moved = self.buffer.writes
        self._move(last, statement)
        return moved, vanished

    def _move(self, segment: Segment, statement: str) -> None:
        floor = self._floor()
        self._renew()
        if segment.writes:
            self._moving = WriteBuffer.of(segment.writes)
            self.recent = _Both(self.buffer.writes, segment.writes)
            self.layers.above(floor)
            self.layers.send(segment.writes, segment.absent_keys, statement)

    def _floor(self) -> int:
        """Return the newest layer that must not grow any more."""
        staged = [mark.layer for mark in self._marks if mark.buffer is None]
        return max(staged + self._pins, default=0)

    def _renew(self) -> None:
        self.buffer = WriteBuffer()
        self.recent = self.buffer.writes


class FrozenWrites:
    """The own writes of a moment, for reading."""

    def __init__(self, layers: StagedLayers, buffer: WriteBuffer, scope: Scope) -> None:
        self.recent: Recent = buffer.writes
        self.scope = scope
        self.keys_in = buffer.keys_in
        self.dropped = layers.dropped
        self._layers = layers

    def has_writes_in(self, span: Span) -> bool:
        newest = self.scope.get("layer_max", 0)
        return bool(self.keys_in(span)) or self._layers.has_writes_in(span, newest)

    @contextmanager
    def pinned(self) -> Iterator[Scope]:
        yield self.scope  # by the statement's mark


_START: Final = BufferMark(0, 0, 0)


def _whole(buffer: WriteBuffer) -> Segment:
    return Segment(buffer.writes, buffer.absent_keys)


def _take_vanished(segment: Segment) -> list[bytes]:
    """Take out keys that were made and deleted in one segment: other's rows may have them now."""
    writes = segment.writes
    if None not in writes.values():  # a bulk load: tens of thousands of rows, quickly
        return list(filterfalse(writes.__contains__, segment.absent_keys))
    vanished = [key for key in segment.absent_keys if writes.get(key) is None]
    for key in vanished:
        writes.pop(key, None)
    return vanished
