"""Checks for anomalies that have a name of their own, each over the few facts that show it.

They need no graph and no complete history, so what they say is easy to believe.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.history.model import Anomaly


class Timed(NamedTuple):
    """What was read, between the begin and the end of the transaction that read it."""

    begin_s: float
    end_s: float
    value: int


def bank(reads: Iterable[Mapping[Hashable, int]], total: int) -> list[Anomaly]:
    """Return reads of all accounts whose sum is not `total`: money in flight was seen.

    >>> [str(a) for a in bank([{"a": 60, "b": 40}, {"a": 50, "b": 40}], 100)]
    ["torn read: the accounts hold 90 instead of 100: {'a': 50, 'b': 40}"]
    """
    return [
        Anomaly("torn read", f"the accounts hold {sum(read.values())} instead of {total}: {read}")
        for read in reads
        if sum(read.values()) != total
    ]


def write_skew(states: Iterable[Mapping[Hashable, int]], minimum: int) -> list[Anomaly]:
    """Return states in which a group fell below what each of its writers had made sure of.

    >>> [a.kind for a in write_skew([{"alice": 1, "bob": 0}, {"alice": 0, "bob": 0}], 1)]
    ['write skew']
    """
    return [
        Anomaly("write skew", f"{sum(state.values())} left of at least {minimum}: {state}")
        for state in states
        if sum(state.values()) < minimum
    ]


def lost_update(updates: Iterable[tuple[str, Hashable, Hashable]]) -> list[Anomaly]:
    """Return committed (who, key, version read) of which two replaced the same version.

    >>> [a.kind for a in lost_update([("T1", "x", 7), ("T2", "x", 7), ("T3", "x", 8)])]
    ['lost update']
    """
    found = []
    first: dict[tuple[Hashable, Hashable], str] = {}
    for who, key, version in updates:
        other = first.setdefault((key, version), who)
        if other != who:
            found.append(
                Anomaly("lost update", f"{other} and {who} both replaced {key} at {version}")
            )
    return found


def long_fork(reads: Iterable[Collection[Hashable]]) -> list[Anomaly]:
    """Return pairs of reads of one group, each of which saw a write that the other did not.

    A read is the set of writes that it saw; every one is written once, and stays.

    >>> [a.kind for a in long_fork([{"x"}, {"x", "y"}, {"y"}])]
    ['long fork']
    """
    found = []
    seen = sorted(
        {frozenset(read) for read in reads}, key=lambda read: (len(read), sorted(map(str, read)))
    )
    for smaller, larger in itertools.pairwise(seen):
        if not smaller <= larger:
            detail = f"one saw {sorted(map(str, smaller))}, another {sorted(map(str, larger))}"
            found.append(Anomaly("long fork", detail))
    return found


def read_only(
    *, overdrawn_fee: bool, seen: tuple[int, int], final: tuple[int, int]
) -> list[Anomaly]:
    """Return the anomaly of Fekete, O'Neil and O'Neil if a bank statement shows it.

    Checking and savings hold 0. One pays 20 into savings; another draws 10 from checking, with a
    fee of 1 if both together do not cover it; a third only reads. If the reader saw the 20 and not
    the withdrawal, then the withdrawal came after the 20, and there can be no fee.

    >>> [a.kind for a in read_only(overdrawn_fee=True, seen=(0, 20), final=(-11, 20))]
    ['read-only anomaly']
    >>> read_only(overdrawn_fee=False, seen=(0, 20), final=(-10, 20))
    []
    """
    if overdrawn_fee and seen == (0, 20):
        return [Anomaly("read-only anomaly", f"the statement says {seen}, the accounts {final}")]
    return []


def phantom(claims: Iterable[Hashable]) -> list[Anomaly]:
    """Return slots that were claimed twice, each claim made after none was found.

    >>> [str(a) for a in phantom(["9:00", "9:30", "9:00"])]
    ['phantom: 9:00 was free for 2 at once']
    """
    return [
        Anomaly("phantom", f"{slot} was free for {count} at once")
        for slot, count in Counter(claims).items()
        if count > 1
    ]


def monotone(reads: Sequence[Timed]) -> list[Anomaly]:
    """Return reads of a value that only grows which saw less than one that had ended before.

    >>> [a.kind for a in monotone([Timed(0, 1, 5), Timed(2, 3, 4)])]
    ['stale read']
    >>> monotone([Timed(0, 2, 5), Timed(1, 3, 4)])
    []
    """
    found = []
    ended = sorted(reads, key=lambda read: read.end_s)
    newest, at = 0, 0
    best: Timed | None = None
    for read in sorted(reads):
        while at < len(ended) and ended[at].end_s < read.begin_s:
            if best is None or ended[at].value > newest:
                best, newest = ended[at], ended[at].value
            at += 1
        if best is not None and read.value < newest:
            when = f"at {read.begin_s:.4f}, after {newest} at {best.end_s:.4f}"
            detail = f"{read.value} was read {when}"
            found.append(Anomaly("stale read", detail))
    return found
