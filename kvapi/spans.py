"""Spans: any `[start, end)` of keys. An empty `end` means "to the end of the keyspace"."""

from typing import NamedTuple


class Span(NamedTuple):
    """Half-open stretch of the keyspace; `end == b""` is unbounded."""

    start: bytes
    end: bytes

    def contains(self, key: bytes) -> bool:
        """Tell whether `key` lies inside.

        >>> Span(b"a", b"c").contains(b"b"), Span(b"a", b"").contains(b"zz")
        (True, True)
        """
        return self.start <= key and (not self.end or key < self.end)

    def covers(self, other: "Span") -> bool:
        """Tell whether every key of `other` lies inside."""
        if other.is_empty():
            return True
        if self.start > other.start:
            return False
        return not self.end or (bool(other.end) and other.end <= self.end)

    def is_empty(self) -> bool:
        """Tell whether no key can lie inside."""
        return bool(self.end) and self.end <= self.start

    def overlaps(self, other: "Span") -> bool:
        """Tell whether some key could lie in both."""
        return not intersection(self, other).is_empty()


def prefix_end(prefix: bytes) -> bytes:
    r"""Return the first key after all keys that start with `prefix`, or `b""` if there is none.

    >>> prefix_end(b"a\x01"), prefix_end(b"a\xff"), prefix_end(b"\xff\xff")
    (b'a\x02', b'b', b'')
    """
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b""
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def prefix_span(prefix: bytes) -> Span:
    """Return the span of all keys that start with `prefix`."""
    return Span(prefix, prefix_end(prefix))


def key_span(key: bytes) -> Span:
    """Return the span that holds just `key`."""
    return Span(key, key + b"\x00")


def intersection(a: Span, b: Span) -> Span:
    """Return what lies in both; the result may be empty (`is_empty`).

    >>> intersection(Span(b"a", b"m"), Span(b"f", b""))
    Span(start=b'f', end=b'm')
    """
    start = max(a.start, b.start)
    if not a.end:
        return Span(start, b.end)
    if not b.end:
        return Span(start, a.end)
    return Span(start, min(a.end, b.end))


def merged(spans: list[Span]) -> list[Span]:
    """Return sorted, disjoint spans that cover the same keys.

    >>> merged([Span(b"c", b"e"), Span(b"a", b"d"), Span(b"x", b"x")])
    [Span(start=b'a', end=b'e')]
    """
    result: list[Span] = []
    for span in sorted(s for s in spans if not s.is_empty()):
        if result and (not result[-1].end or span.start <= result[-1].end):
            last = result[-1]
            end = b"" if not last.end or not span.end else max(last.end, span.end)
            result[-1] = Span(last.start, end)
        else:
            result.append(span)
    return result
