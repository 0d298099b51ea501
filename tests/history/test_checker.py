"""Each anomaly by hand, beside the correct history nearest to it."""

import random
import sys

import pytest

from tests.history import graph as graphs
from tests.history.list_append import check
from tests.history.model import Append, Level, Outcome, Read, Txn, describe

SER, RR, RC = Level.SERIALIZABLE, Level.REPEATABLE_READ, Level.READ_COMMITTED


def txn(words, begin_s=0.0, end_s=100.0, outcome="ok", client=0):
    """`r x 12` reads x as [1 2], `p x 1` by predicate, `a x 3` appends; all overlap by default.

    `u x 3` appends and is undone.
    """
    made = Txn(client, begin_s)
    for part in words.split(", "):
        op, key, *values = part.split()
        read = tuple(int(digit) for digit in (values or [""])[0])
        if op == "a":
            made.ops.append(Append(key, read[0]))
        elif op == "u":
            made.undone.append(Append(key, read[0]))
        else:
            made.ops.append(Read(key, read, is_predicate=op == "p"))
    made.end(Outcome(outcome), end_s)
    return made


def kinds(level, *txns):
    return sorted({anomaly.kind for anomaly in check(txns, level)})


@pytest.mark.parametrize("level", [SER, RR, RC])
def test_nothing_is_reported_of_a_correct_history(level):
    """A checker that cries wolf is switched off."""
    assert not kinds(
        level,
        txn("a x 1, r x 1, a y 1", 0, 1),
        txn("r x 1, a x 2", 2, 3),
        txn("a x 3", 2, 3, outcome="failed"),
        txn("a y 2", 2, 9, outcome="unknown"),
        txn("a z 1", 2, 9, outcome="unknown"),
        txn("u x 4, r x 12, a x 5", 4, 5),
        txn("p x 125, r y 12, r z", 6, 7),
    )


def test_dirty_write():
    """Two transfers that interleave their writes leave half of each."""
    history = txn("a x 1, a y 1"), txn("a x 2, a y 2"), txn("r x 12, r y 21")
    assert kinds(RC, *history) == ["G0"]
    assert kinds(SER, *history) == ["G0"]


def test_aborted_read():
    """A payment is acted upon that never was made."""
    history = txn("a x 1", outcome="failed"), txn("r x 1, a y 1")
    assert kinds(RC, *history) == ["G1a"]
    assert kinds(RC, txn("u x 1, a x 2"), txn("r x 12")) == ["G1a"]
    assert not kinds(RC, txn("a x 1", outcome="unknown"), txn("r x 1"))


def test_intermediate_read():
    """A row is seen as it was in the middle of a transaction."""
    assert kinds(RC, txn("a x 1, a x 2"), txn("r x 1"), txn("r x 12")) == ["G1b"]


def test_garbage_and_doubles_and_losses():
    """A value from nowhere, one that came twice, one that was acknowledged and is gone."""
    assert kinds(RC, txn("r x 7")) == ["garbage read"]
    assert kinds(RC, txn("a x 1"), txn("r x 11")) == ["duplicate append"]
    assert kinds(RC, txn("a x 1", 0, 1), txn("a x 2", 0, 1), txn("r x 2", 2, 3)) == ["lost append"]


def test_reads_that_branch():
    """Two replicas went different ways."""
    history = txn("a x 1"), txn("a x 2"), txn("r x 1"), txn("r x 2"), txn("r x 12")
    assert "incompatible order" in kinds(RC, *history)


def test_own_writes_are_seen_and_reads_repeat():
    """A transaction does not find the row it has just inserted."""
    assert kinds(RC, txn("a x 1, r x")) == ["internal"]
    again = txn("r x, r x 1"), txn("a x 1")
    assert "internal" in kinds(RR, *again)
    assert not kinds(RC, *again)


def test_circular_information_flow():
    """Each of two transactions acts upon what the other did."""
    history = txn("a x 1, r y 1"), txn("a y 1, r x 1")
    assert kinds(RC, *history) == ["G1c"]


def test_read_skew():
    """A sum over two accounts in the middle of a transfer."""
    history = txn("r x, r y 1"), txn("a x 1, a y 1"), txn("r x 1, r y 1", 200, 201)
    assert kinds(SER, *history) == ["G-single"]
    assert kinds(RR, *history) == ["G-single"]
    assert not kinds(RC, *history)


def test_lost_update():
    """Two clients add to the same balance, and one of the two is gone."""
    history = txn("r x, a x 1"), txn("r x, a x 2"), txn("r x 12")
    assert kinds(SER, *history) == ["G-single", "lost update"]
    assert kinds(RR, *history) == ["G-single", "lost update"]
    assert not kinds(RC, *history)


def test_write_skew():
    """Both doctors go off duty, each because the other stays."""
    history = txn("r x, a y 1"), txn("r y, a x 1"), txn("r x 1, r y 1", 200, 201)
    assert kinds(SER, *history) == ["G2-item"]
    assert not kinds(RR, *history)
    assert not kinds(RC, *history)


def test_phantom():
    """Two bookings of one room, each made because a search found none."""
    history = txn("p x, a y 1"), txn("p y, a x 1"), txn("p x 1, p y 1", 200, 201)
    assert kinds(SER, *history) == ["G2"]
    assert not kinds(RR, *history)


def test_long_fork():
    """Two readers see two independent writes in different orders."""
    history = (
        txn("a x 1"),
        txn("a y 1"),
        txn("r x 1, r y"),
        txn("r x, r y 1"),
        txn("r x 1, r y 1", 200, 201),
    )
    assert kinds(SER, *history) == ["G-nonadjacent"]
    assert kinds(RR, *history) == ["G-nonadjacent"]
    assert not kinds(RC, *history)


def test_read_only_anomaly():
    """A bank statement proves that the fee of a withdrawal was wrong (Fekete, O'Neil, O'Neil)."""
    deposit, withdrawal = txn("r y, a y 1"), txn("r x, r y, a x 1")
    statement = txn("r x, r y 1")
    last = txn("r x 1, r y 1", 200, 201)
    assert not kinds(SER, deposit, withdrawal, last)
    assert kinds(SER, deposit, withdrawal, statement, last) == ["G2-item (read-only anomaly)"]
    assert not kinds(RR, deposit, withdrawal, statement, last)


def test_stale_read():
    """A client is told that it is done, and a friend of his does not see it."""
    history = txn("a x 1", 0, 1), txn("r x", 2, 3), txn("r x 1", 4, 5)
    assert kinds(SER, *history) == ["G-single-realtime"]
    assert kinds(RR, *history) == ["G-single-realtime"]
    # Of what is still under way, anything may be seen.
    assert not kinds(SER, txn("a x 1", 0, 2.5), *history[1:])


def test_an_unknown_outcome_may_come_late():
    """A commit whose answer was lost is no stale read, but it is never undone either."""
    assert not kinds(SER, txn("a x 1", 0, 1, "unknown"), txn("r x", 2, 3), txn("r x 1", 4, 5))
    late = txn("a x 1", 0, 1, "unknown"), txn("r x 1", 2, 3), txn("r x", 4, 5)
    assert kinds(SER, *late) == ["G-single-realtime"]


def test_unknown_transactions_that_were_seen_are_checked():
    """Its reads count as soon as its writes do."""
    history = txn("r x, a y 1", outcome="unknown"), txn("r y, a x 1"), txn("r x 1, r y 1", 200, 201)
    assert kinds(SER, *history) == ["G2-item"]


def test_undoing_takes_appends_out_of_reads():
    """ROLLBACK TO makes a correct history look wrong, or hides a wrong one."""
    made = Txn(0, 0.0)
    made.ops += [Append("x", 1), Append("x", 2), Read("x", (7, 1, 2))]
    made.undo_to(1)
    assert made.ops == [Append("x", 1), Read("x", (7, 1))]
    assert made.undone == [Append("x", 2)]


def test_a_failure_is_readable():
    """Who finds an anomaly has to see what happened."""
    history = txn("r x, a y 1", client="c1"), txn("r y, a x 1"), txn("r x 1, r y 1", 200, 201)
    assert describe(check(history, SER), history).splitlines() == [
        "G2-item: T0 read x as it was before the next one wrote it; "
        "T1 read y as it was before the next one wrote it (T0 again)",
        "    T0 client c1 [0.0000 .. 100.0000] ok: read x []  append y 1",
        "    T1 client 0 [0.0000 .. 100.0000] ok: read y []  append x 1",
    ]


def serial_history(rng, count, key_count):
    """What a correct store answers: transactions one after the other, reported as overlapping."""
    lists = {key: [] for key in range(key_count)}
    for number in range(count):
        made = Txn(number % 16, number - 8.0)
        for _ in range(4):
            key = rng.randrange(key_count)
            if rng.random() < 0.5:
                lists[key].append(number * 10 + len(made.ops))
                made.ops.append(Append(key, lists[key][-1]))
            else:
                made.ops.append(Read(key, tuple(lists[key])))
        made.end(Outcome.OK, number + 8.0)
        yield made
    made = Txn(0, count + 9.0)
    made.ops += [Read(key, tuple(values)) for key, values in lists.items()]
    made.end(Outcome.OK, count + 10.0)
    yield made


def test_large_histories_take_no_recursion_and_little_time():
    """Ten minutes of sixteen clients cannot be checked."""
    history = list(serial_history(random.Random(1), 5_000, 500))
    assert len(history) > sys.getrecursionlimit()
    assert not check(history, SER)
    changed = history[2500]
    changed.begin_s, changed.end_s = -20.0, -19.0
    assert {anomaly.kind[-9:] for anomaly in check(history, SER)} == {"-realtime"}


def test_components_agree_with_reachability():
    """A cycle is overlooked because of an error in a textbook algorithm."""
    rng = random.Random(5)
    for _ in range(200):
        count = rng.randrange(1, 9)
        edges = [[t for t in range(count) if t != n and rng.random() < 0.25] for n in range(count)]
        reach = [{n} for n in range(count)]
        for _ in range(count):
            reach = [r | {t for m in r for t in edges[m]} for r in reach]
        wanted = {
            frozenset(m for m in range(count) if m in reach[n] and n in reach[m])
            for n in range(count)
        }
        found = {frozenset(part) for part in graphs.components(edges)}
        assert found == {part for part in wanted if len(part) > 1}
