"""Span algebra against sets of keys."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kvapi.spans import Span, intersection, key_span, merged, prefix_end, prefix_span

KEY = st.lists(st.sampled_from([0, 1, 255]), max_size=3).map(bytes)
SPAN = st.builds(Span, KEY, KEY)


@given(SPAN, SPAN, KEY)
def test_intersection_holds_what_both_hold(a, b, key):
    """The KV node clamps every span to its tenant with this: an error here is a breach."""
    assert intersection(a, b).contains(key) == (a.contains(key) and b.contains(key))
    if a.overlaps(b) is False:
        assert not (a.contains(key) and b.contains(key))


@given(KEY, KEY)
def test_prefix_span_holds_exactly_the_prefix(prefix, key):
    """DROP TABLE deletes this span."""
    assert prefix_span(prefix).contains(key) == key.startswith(prefix)


@given(KEY)
def test_prefix_end_is_tight(prefix):
    """Nothing of the next table may be inside."""
    end = prefix_end(prefix)
    assert not end.startswith(prefix) or prefix == b""
    assert key_span(prefix).contains(prefix)
    assert not key_span(prefix).contains(prefix + b"\x00")


@given(st.lists(SPAN, max_size=6), KEY)
def test_merged_covers_the_same_keys(spans, key):
    """A footprint that shrinks when merged would let conflicts through."""
    result = merged(spans)
    assert any(s.contains(key) for s in result) == any(s.contains(key) for s in spans)
    assert all(a.end and a.end < b.start for a, b in pairwise(result))


@given(SPAN, SPAN, KEY)
def test_covers_means_every_key(a, b, key):
    """Used to decide that something need not be read or validated again."""
    if a.covers(b) and b.contains(key):
        assert a.contains(key)
