"""Group commit: batches, failures, growth."""

import pytest

from kvapi.errors import DiskFull, InternalError, Throttled
from kvnode.storage.engine import Table
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.write_batch import write_batch


class Put:
    """Writes one row."""

    def __init__(self, outcomes, key, *, tenant_id=1, value=b"v", fails=False):
        self.outcomes, self.key, self.tenant_id = outcomes, key, tenant_id
        self.value, self.fails, self.size_bytes = value, fails, len(value)

    def apply(self, txn):
        if self.fails:
            raise ZeroDivisionError("a bug")
        txn.put(Table.LIVE, self.key, self.value)

    def finish(self, error):
        self.outcomes[self.key] = error


class StepWriter:
    """Writes when told to."""

    def __init__(self, engine):
        self.engine, self.jobs, self.hurried = engine, [], []

    def run(self, operations, report):
        self.jobs.append((operations, report))

    def hurry(self, *, may_give_up):
        self.hurried.append(may_give_up)

    def sync(self, *, gives_way=False):
        operations, report = self.jobs.pop(0)
        report(write_batch(self.engine, operations, lambda: gives_way))
        return [operation.key for operation in operations if hasattr(operation, "key")]


def make(**limits):
    engine = MemoryEngine(**limits)
    writer = StepWriter(engine)
    durable = []
    group = GroupCommit(
        engine,
        writer,
        on_durable=lambda operations: durable.extend(operations),
        on_answered=lambda: None,
        release_snapshots=lambda: None,
        take_snapshot=lambda: None,
    )
    return engine, writer, group, durable


def test_what_waits_for_a_sync_goes_into_the_next_one():
    """Every commit would pay for its own sync, and throughput would end at the disk's latency."""
    engine, writer, group, durable = make()
    outcomes = {}
    for key in (b"a", b"b", b"c"):
        group.submit(Put(outcomes, key))
    assert writer.sync() == [b"a"]
    assert outcomes == {b"a": None}
    assert writer.sync() == [b"b", b"c"]
    assert outcomes == {b"a": None, b"b": None, b"c": None}
    assert len(durable) == 3
    assert group.is_idle
    assert engine.snapshot().get(Table.LIVE, b"c") == b"v"


def test_upkeep_of_a_batch_ends_before_its_answers():
    """A commit validated when moved intents are neither intents nor noted as moved would pass."""
    _, writer, group, _ = make()
    outcomes, order = {}, []

    class Bulk(Put):
        is_bulk = True

        def finish(self, error):
            order.append(self.key)

    class Move(Bulk):
        is_upkeep = True

    group.submit(Bulk(outcomes, b"first"))
    for operation in (Bulk(outcomes, b"stage"), Move(outcomes, b"move"), Bulk(outcomes, b"more")):
        group.submit(operation)
    writer.sync()
    order.clear()
    assert writer.sync() == [b"stage", b"move", b"more"]
    assert order == [b"move", b"stage", b"more"]


def test_a_faulty_operation_takes_only_its_own_tenant_along():
    """One tenant's poison would fail its neighbours' commits for ever."""
    engine, writer, group, _ = make()
    outcomes = {}
    group.submit(Put(outcomes, b"first"))
    group.submit(Put(outcomes, b"poison", tenant_id=2, fails=True))
    group.submit(Put(outcomes, b"after", tenant_id=2))
    group.submit(Put(outcomes, b"other", tenant_id=3))
    writer.sync()
    group.submit(Put(outcomes, b"queued", tenant_id=2))
    writer.sync()
    assert [k for k, error in outcomes.items() if error is None] == [b"first", b"other"]
    assert all(isinstance(outcomes[k], InternalError) for k in (b"poison", b"after", b"queued"))
    assert engine.snapshot().get(Table.LIVE, b"after") is None


def test_a_full_disk_fails_everything_queued_and_then_recovers():
    """A commit checked against one that never happened would be applied without it."""
    engine, writer, group, durable = make(bytes_max=100)
    outcomes = {}
    group.submit(Put(outcomes, b"big", value=bytes(200)))
    group.submit(Put(outcomes, b"small"))
    writer.sync()
    assert all(isinstance(error, DiskFull) for error in outcomes.values())
    assert len(outcomes) == 2
    assert durable == []
    group.submit(Put(outcomes, b"small"))
    writer.sync()
    assert outcomes[b"small"] is None
    assert engine.snapshot().get(Table.LIVE, b"big") is None


def test_the_store_grows_and_the_batch_is_written():
    """A store that is full of its map would refuse writes while the disk has room."""
    _, writer, group, _ = make(bytes_max=100, growth_bytes_max=1000)
    outcomes = {}
    group.submit(Put(outcomes, b"big", value=bytes(300)))
    while writer.jobs:
        writer.sync()
    assert outcomes == {b"big": None}


def test_a_marker_runs_in_its_turn():
    """An answer that depends on queued writes would come before they are durable."""
    _, writer, group, _ = make()
    seen = []
    group.after_queued(lambda: seen.append("idle"))
    assert seen == ["idle"]
    group.submit(Put({}, b"a"))
    group.after_queued(lambda: seen.append("after"))
    writer.sync()
    assert seen == ["idle"]
    writer.sync()
    assert seen == ["idle", "after"]


def test_an_error_of_the_accounts_keeps_no_answer_back():
    """What is durable would be told to nobody, and locks be kept for ever."""
    _, writer, group, durable = make()
    outcomes = {}

    class Miscounting:
        def try_bulk(self, again):
            return True

        def began(self, *, is_bulk):
            pass

        def ended(self, batch, used):
            raise ZeroDivisionError("a bug")

        def failed(self, operations):
            raise ZeroDivisionError("a bug")

        def answered(self):
            pass

    group._gate = Miscounting()
    for key in (b"a", b"b"):
        group.submit(Put(outcomes, key))
        group.submit(Put(outcomes, key + b"!", fails=True))
    while writer.jobs:
        writer.sync()
    assert outcomes[b"a"] is None
    assert len(outcomes) == 4
    assert durable
    assert group.is_idle


def test_nothing_starts_without_work():
    """An idle node would write to its disk."""
    _, writer, group, _ = make()
    assert writer.jobs == []
    assert group.queued_count == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_failing_batch_of_any_size_reports_each(count):
    """An operation without an outcome leaves its client waiting for ever."""
    _, writer, group, _ = make()
    outcomes = {}
    for index in range(count):
        group.submit(Put(outcomes, b"%d" % index, tenant_id=index, fails=True))
    while writer.jobs:
        writer.sync()
    assert len(outcomes) == count


class Bulk(Put):
    """One row of a bulk load."""

    is_bulk = True


class Move(Bulk):
    """Upkeep of one."""

    is_upkeep = True


@pytest.mark.parametrize("bulk", [Bulk, Move])
def test_bulk_without_room_fails_alone(bulk):
    """One load that does not fit, or rows that cannot be moved, would fail everyone's commits."""
    _, writer, group, _ = make(bytes_max=1000)
    outcomes = {}
    group.submit(bulk(outcomes, b"bulk", value=bytes(2000)))
    group.submit(Put(outcomes, b"small"))
    group.submit(Bulk(outcomes, b"behind"))
    while writer.jobs:
        writer.sync()
    assert isinstance(outcomes[b"bulk"], DiskFull)
    assert isinstance(outcomes[b"behind"], DiskFull)
    assert outcomes[b"small"] is None


def test_upkeep_among_bulk_waits_for_its_turn_when_the_disk_is_full():
    """What is to be moved would be tried beside the upkeep that makes room, and fail it."""
    _, writer, group, _ = make(bytes_max=1000)
    outcomes = {}
    upkeep = Put(outcomes, b"upkeep")
    upkeep.is_upkeep = True
    group.submit(Put(outcomes, b"large", value=bytes(2000)))
    group.submit(Move(outcomes, b"move", value=bytes(2000)))
    group.submit(upkeep)
    while writer.jobs:
        writer.sync()
    assert isinstance(outcomes[b"large"], DiskFull)
    assert isinstance(outcomes[b"move"], DiskFull)
    assert outcomes[b"upkeep"] is None


def test_the_writer_hurries_when_a_commit_waits_for_bulk():
    """It stands back while it writes bulk: the commit would wait for whoever runs meanwhile."""
    _, writer, group, _ = make()
    outcomes = {}
    group.submit(Bulk(outcomes, b"bulk"))
    group.submit(Bulk(outcomes, b"behind"))
    assert not writer.hurried
    group.submit(Put(outcomes, b"small"))
    assert writer.hurried == [True]
    writer.sync()
    group.submit(Put(outcomes, b"beside"))
    assert writer.hurried == [True]  # it waits for no bulk
    assert writer.sync() == [b"small"]
    assert writer.hurried == [True, False]  # it does now: "behind" has its turn before it


def test_bulk_gives_way_to_a_commit_once():
    """A commit waits for a chunk and its sync; or the load never ends beside many commits."""
    engine, writer, group, _ = make()
    outcomes = {}
    group.submit(Bulk(outcomes, b"bulk"))
    group.submit(Bulk(outcomes, b"behind"))
    group.submit(Put(outcomes, b"small"))
    assert writer.hurried == [True]
    assert writer.sync(gives_way=True) == [b"bulk"]
    assert not outcomes
    assert engine.snapshot().get(Table.LIVE, b"bulk") is None
    assert group.queued_count == 3
    group.submit(Put(outcomes, b"next"))
    assert writer.sync() == [b"small"]
    assert writer.hurried == [True, False]
    group.submit(Put(outcomes, b"last"))
    assert writer.hurried == [True, False, False], "it gave way before"
    assert writer.sync() == [b"bulk"]
    assert writer.sync() == [b"next", b"last"]
    assert writer.hurried == [True, False, False]
    assert writer.sync() == [b"behind"]
    assert outcomes == dict.fromkeys((b"small", b"bulk", b"next", b"last", b"behind"))
    assert group.is_idle


def test_a_load_does_not_give_way_to_itself():
    """Its COMMIT, and upkeep, would throw away what the writer has done already."""
    _, writer, group, _ = make()
    outcomes = {}
    group.submit(Bulk(outcomes, b"bulk"))
    for key in (b"commit", b"upkeep"):
        operation = Put(outcomes, key)
        operation.is_regular = False
        group.submit(operation)
    group.after_queued(lambda: None)
    assert not any(writer.hurried)


def test_bulk_whose_turn_it_is_does_not_give_way():
    """Beside commits that never pause each batch would be written twice."""
    _, writer, group, _ = make()
    outcomes = {}
    group.submit(Put(outcomes, b"first"))
    group.submit(Bulk(outcomes, b"bulk"))
    group.submit(Put(outcomes, b"second"))
    assert writer.sync() == [b"first"]
    group.submit(Put(outcomes, b"third"))
    assert writer.jobs[0][0][0].key == b"bulk"
    assert writer.hurried == [False, False]


class OneBulk:
    """The gate before a slow disk, which has tokens for one batch of bulk."""

    def __init__(self):
        self.bulk_count = 1
        self.failed = self.ended = lambda *_: None
        self.answered = lambda: None

    def try_bulk(self, again):
        self.bulk_count -= 1
        return self.bulk_count >= 0

    def began(self, *, is_bulk):
        """Nothing is measured."""


def test_bulk_that_gave_way_does_not_wait_for_the_disk_again():
    """On a slow disk a load gets half of what it may write, because of every commit beside it."""
    _, writer, group, _ = make()
    group._gate = OneBulk()
    outcomes = {}
    group.submit(Bulk(outcomes, b"bulk"))
    group.submit(Bulk(outcomes, b"behind"))
    group.submit(Put(outcomes, b"small"))
    writer.sync(gives_way=True)
    assert writer.sync() == [b"small"]
    assert writer.jobs, "it was let in before, and wrote nothing"
    assert writer.sync() == [b"bulk"]
    assert not writer.jobs, "what is behind it waits"


def test_bulk_that_gave_way_has_begun():
    """Part of a chunk would be written that its client was told to be withdrawn."""
    _, writer, group, _ = make()
    outcomes = {}
    pieces = [Bulk(outcomes, b"first"), Bulk(outcomes, b"second")]
    for piece in pieces:
        group.submit(piece)
    group.submit(Put(outcomes, b"small"))
    writer.sync(gives_way=True)
    group.withdraw(pieces, Throttled("too late"))
    assert not outcomes
    while writer.jobs:
        writer.sync()
    assert outcomes == dict.fromkeys((b"first", b"second", b"small"))


def test_bulk_that_gave_way_fails_with_what_fails_then():
    """It would wait for ever where the disk is full, and its client with it."""
    _, writer, group, _ = make(bytes_max=1000)
    outcomes = {}
    group.submit(Bulk(outcomes, b"bulk"))
    group.submit(Put(outcomes, b"large", value=bytes(2000)))
    writer.sync(gives_way=True)
    writer.sync()
    assert isinstance(outcomes[b"large"], DiskFull)
    assert isinstance(outcomes[b"bulk"], DiskFull)
    assert group.is_idle


def test_bulk_makes_itself_small_beside_commits():
    """A tenant's single-row commit would wait for several chunks of another's large load."""
    _, writer, group, _ = make()
    outcomes = {}

    def load(first, count):
        for n in range(first, first + count):
            group.submit(Bulk(outcomes, b"bulk %d" % n))

    load(0, 5)
    assert [len(writer.sync()) for _ in range(2)] == [1, 4]  # nobody else is there
    load(5, 5)
    writer.sync()
    group.submit(Put(outcomes, b"small"))
    assert len(writer.sync()) == 4
    assert writer.sync() == [b"small"]
    load(10, 70)
    sizes = [len(writer.sync()) for _ in range(65)]
    assert sizes == [1] * 64 + [6]  # nobody else for a while
    assert not writer.jobs
