"""The memory of recent commits: what it may forget, and how it finds keys in spans."""

import random

from kvapi.spans import Span, merged
from kvnode.txn.recent_writes import RecentWrites


def changed(recent, keys, spans, *, since_ts, probes_max=1000):
    """Look until all is looked at."""
    while True:
        key, since_ts = recent.look(keys, spans, since_ts=since_ts, probes_max=probes_max)
        if key is not None or since_ts >= recent.newest_ts:
            return key


def test_commits_that_are_not_durable_are_never_forgotten():
    """The store does not know them yet: a conflict with a large one would be missed."""
    recent = RecentWrites(low_water=0, keys_max=10)
    recent.add(10, [b"a%d" % n for n in range(8)], durable_ts=9)
    recent.add(20, [b"b%d" % n for n in range(100)], durable_ts=10)
    assert changed(recent, [b"a1"], [], since_ts=5) is None  # forgotten: the store is asked
    assert recent.low_water == 10
    assert changed(recent, [b"b50"], [], since_ts=15) == b"b50"
    assert changed(recent, [], [Span(b"b", b"c")], since_ts=15) == b"b0"
    recent.add(30, [b"c"], durable_ts=20)
    assert recent.low_water == 20


def test_spans_find_what_a_plain_search_finds():
    """A phantom in a span that was read would pass validation."""
    rng = random.Random(7)
    for _ in range(300):
        recent = RecentWrites(low_water=0, keys_max=1000)
        commits = []
        for ts in range(1, 6):
            keys = [bytes([rng.randrange(60)]) for _ in range(rng.choice([1, 2, 20]))]
            recent.add(ts, list(keys), durable_ts=0)
            commits.append((ts, keys))
        bounds = [sorted(rng.sample(range(61), 2)) for _ in range(rng.choice([1, 4, 9]))]
        spans = [Span(bytes([low]), bytes([high])) for low, high in bounds]
        since_ts = rng.randrange(6)
        inside = {
            key
            for ts, keys in commits
            for key in keys
            if ts > since_ts and any(span.contains(key) for span in spans)
        }
        probes_max = rng.choice([1, 5, 1000])
        spans = merged(spans)
        found = changed(recent, [], spans, since_ts=since_ts, probes_max=probes_max)
        assert (found in inside) if inside else found is None
