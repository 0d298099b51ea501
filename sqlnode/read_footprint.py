"""What a transaction has read so far, bounded: many keys become few spans.

**Model.** Coalescing only ever widens what is validated, so it can cause a conflict that was none,
never hide one. Neighbouring keys are joined within one index first, because a span across tables
would conflict with anything.
"""

from itertools import groupby
from typing import Final, NamedTuple

from kvapi.footprint import Footprint
from kvapi.layout import INDEX_PREFIX_BYTES
from kvapi.spans import Span, merged

KEYS_MAX: Final = 4096
SPANS_MAX: Final = 1024
_KEYS_PER_SPAN: Final = 64


class FootprintMark(NamedTuple):
    """A position to go back to, valid until the next coalescing."""

    generation: int
    key_count: int
    span_count: int


class ReadFootprint:
    """Keys and spans read, in the order of reading."""

    def __init__(self, *, keys_max: int = KEYS_MAX, spans_max: int = SPANS_MAX) -> None:
        self.keys: dict[bytes, None] = {}
        self.spans: list[Span] = []
        self._keys_max = keys_max
        self._spans_max = spans_max
        self._generation = 0

    def __bool__(self) -> bool:
        return bool(self.keys or self.spans)

    def add_key(self, key: bytes) -> None:
        """Record a point read, also of a key that does not exist."""
        self.keys[key] = None
        if len(self.keys) > self._keys_max:
            self._coalesce_keys()

    def add_span(self, span: Span) -> None:
        """Record a scan; one that extends the last span's end replaces it."""
        if span.is_empty():
            return
        if self.spans and _extends(self.spans[-1], span):
            self.spans[-1] = merged([self.spans[-1], span])[0]
            return
        self.spans.append(span)
        if len(self.spans) > self._spans_max:
            self._coalesce_spans()

    def discard_key(self, key: bytes) -> None:
        """Forget a key that cannot change any more because it is locked."""
        if self.keys.pop(key, b"") is None:
            self._generation += 1

    def footprint(self) -> Footprint:
        """Return what to validate."""
        return Footprint(list(self.keys), list(self.spans))

    def mark(self) -> FootprintMark:
        """Return the present position."""
        return FootprintMark(self._generation, len(self.keys), len(self.spans))

    def forget_to(self, mark: FootprintMark) -> None:
        """Forget what was read since `mark`, or nothing if that cannot be told apart any more."""
        if mark.generation != self._generation:
            return
        for key in list(self.keys)[mark.key_count :]:
            del self.keys[key]
        # The last span before the mark may have grown since; that only widens it.
        del self.spans[mark.span_count :]

    def _coalesce_keys(self) -> None:
        self._generation += 1
        spans = []
        for _, group in groupby(sorted(self.keys), key=lambda key: key[:INDEX_PREFIX_BYTES]):
            keys = list(group)
            for start in range(0, len(keys), _KEYS_PER_SPAN):
                run = keys[start : start + _KEYS_PER_SPAN]
                spans.append(Span(run[0], run[-1] + b"\x00"))
        self.keys.clear()
        self.spans += spans
        if len(self.spans) > self._spans_max:
            self._coalesce_spans()

    def _coalesce_spans(self) -> None:
        self._generation += 1
        spans = merged(self.spans)
        if len(spans) > self._spans_max // 2:
            joined = []
            for _, group in groupby(spans, key=lambda span: span.start[:INDEX_PREFIX_BYTES]):
                members = list(group)
                for start in range(0, len(members), 4):
                    run = members[start : start + 4]
                    joined.append(Span(run[0].start, run[-1].end))
            spans = merged(joined)
        if len(spans) > self._spans_max:  # thousands of indexes in one transaction
            spans = [Span(spans[0].start, spans[-1].end)]
        self.spans = spans


def _extends(last: Span, span: Span) -> bool:
    return span.start == last.end != b"" or (span.end == last.start and span.end != b"")
