"""Who gets room for answers that comes free, and when."""

import pytest

from kvnode.admission.answer_room import AnswerRoom, _rounded


class Stream:
    """Wants room for so many bytes, one read after the other."""

    def __init__(self, room, tenant_id, *wants, log=None):
        self.room, self.tenant_id, self.wants = room, tenant_id, list(wants)
        self.log = [] if log is None else log

    @property
    def next_bytes(self):
        return self.wants[0]

    def enter_next(self):
        size = self.wants.pop(0)
        self.log.append((self.tenant_id, size))
        self.room.add(self.tenant_id, size)
        if self.wants:
            self.room.claim(self)


class Turns:
    """What is to be called in the next turn of the loop."""

    def __init__(self):
        self.calls = []

    def later(self, call):
        self.calls.append(call)

    def go_on(self):
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def room(turns):
    return AnswerRoom(1000, turns.later)


def test_a_claim_is_met_when_somebody_gives_back(room):
    """Reads would wait until something else happens, or for ever."""
    room.add(1, 450)
    stream = Stream(room, 1, 100)
    assert not room.is_free_for(1, 100), "beyond half of the room"
    room.claim(stream)
    assert not stream.log
    room.add(1, -40)
    assert not stream.log
    room.add(1, -10)
    assert stream.log == [(1, 100)]
    assert room.of(1) == 500
    assert room.is_free_for(2, 100), "nobody waits any more"


def test_a_refused_claim_holds_up_nobody_within_its_share(room):
    """One scan for which there is no room would stop the reads of all tenants behind it."""
    log = []
    room.add(1, 900)
    large = Stream(room, 2, 192, log=log)
    room.claim(large)
    assert room.is_free_for(3, 50), "its share is 250"
    room.claim(Stream(room, 3, 40, 40, log=log))
    assert log == [(3, 40), (3, 40)]
    room.claim(Stream(room, 4, 40, log=log))
    assert log == [(3, 40)] * 2, "20 are free"
    room.add(3, -40)
    assert log[2:] == [(4, 40)]
    room.add(1, -200)
    assert log[3:] == [(2, 192)], "as soon as there is room for it"


def test_those_that_pass_cannot_keep_a_large_claim_waiting(room):
    """A stream of small reads would keep a large one waiting for ever."""
    log = []
    room.add(1, 950)
    large = Stream(room, 2, 160, log=log)
    room.claim(large)
    small = [Stream(room, tenant_id, *[48] * 50, log=log) for tenant_id in (3, 4)]
    for stream in small:
        room.claim(stream)
    while not large.log or log[-1][0] != 2:
        held = [tenant_id for tenant_id in (3, 4) if room.of(tenant_id)]
        for tenant_id in held:
            room.add(tenant_id, -48)
        room.add(1, -20)  # who is over its share gives back, and gets nothing
        assert room.of(1) > 300, "small ones pass for ever"
    assert room.total <= 1000


def test_beyond_their_shares_who_waited_longest_is_next(room):
    """Of those that ask for more than their share the small ones would always be first."""
    log = []
    room.add(1, 900)
    large = Stream(room, 2, 400, log=log)
    room.claim(large)
    room.claim(Stream(room, 3, 350, log=log))
    assert not room.is_free_for(4, 300)
    room.add(1, -275)
    assert not log, "350 would fit: it waits behind one that has as little, and came first"
    room.add(1, -100)
    assert log == [(2, 400)]


def test_who_holds_least_is_first(room):
    """A tenant that asks from a hundred streams would get a hundred times the room."""
    log = []
    for tenant_id in (1, 2, 3):
        room.add(tenant_id, 330)
    for _ in range(5):
        room.claim(Stream(room, 1, 40, log=log))
    room.claim(Stream(room, 2, 40, log=log))
    room.claim(Stream(room, 3, 40, log=log))
    room.claim(Stream(room, 4, 40, log=log))
    assert not log
    room.add(2, -300)
    assert log[0] == (4, 40), "who has nothing"
    room.add(3, -250)
    assert log == [(4, 40), (2, 40), (3, 40)]
    room.add(1, -330)
    assert log[3:] == [(1, 40)] * 3, "its share is 125"


def test_those_that_hold_nothing_take_turns(room):
    """Of two tenants the one that was first would get each piece of room that comes free."""
    log = []
    room.add(9, 950)
    for tenant_id in (1, 2):
        room.claim(Stream(room, tenant_id, *[56] * 3, log=log))
    room.claim(Stream(room, 1, 56, log=log))
    room.add(9, -10)
    for _ in range(5):
        tenant_id, size = log[-1]
        room.add(tenant_id, -size)
    assert [tenant_id for tenant_id, _ in log] == [1, 2, 1, 2, 1, 2]


def test_a_refused_tenant_does_not_hold_up_one_within_its_share(room):
    """A tenant that leaves answers unread would stop the reads of all the others."""
    room.add(1, 400)
    greedy = Stream(room, 1, 200)
    room.claim(greedy)
    modest = Stream(room, 2, 300, 100)
    room.claim(modest)
    assert modest.log == [(2, 300)]
    room.add(2, -300)
    assert modest.log == [(2, 300), (2, 100)]
    assert not greedy.log


def test_a_claim_that_ends_lets_the_next_one_in(room):
    """A cancelled read would leave those behind it waiting for what is free."""
    for tenant_id, size in ((1, 880), (4, 10), (5, 10)):
        room.add(tenant_id, size)
    first, second = Stream(room, 2, 384), Stream(room, 3, 320)
    room.claim(first)
    room.claim(second)
    room.add(1, -250)
    assert not second.log, "both want more than their share, and the first was first"
    room.withdraw(first)
    assert second.log
    third = Stream(room, 2, 192)
    room.claim(third)
    assert room.missing_bytes == 162
    third.wants = [24]
    room.changed(third)
    assert third.log == [(2, 24)], "a smaller one is next"
    assert not room.missing_bytes


def test_what_is_larger_than_everything_passes_alone(room):
    """A read for which there is never room would wait for ever."""
    room.add(1, 10)
    huge, small = Stream(room, 2, 5000), Stream(room, 3, 10)
    room.claim(huge)
    room.claim(small)
    assert not huge.log
    assert not small.log, "else there might always be something"
    room.add(1, -10)
    assert huge.log
    room.add(2, -5000)
    assert small.log


def test_many_claims_are_met_over_several_turns(room, turns):
    """A client that reads on frees room for thousands of reads, and the loop stops for them."""
    room.add(1, 990)
    streams = [Stream(room, 2, 1) for _ in range(110)]
    room.add(2, 10)
    for stream in streams:
        room.claim(stream)
    room.add(1, -990)
    counts = []
    while turns.calls:
        counts.append(room.of(2) - 10)
        assert len(turns.calls) == 1
        for _ in range(3):
            room.add(3, 0)  # whatever happens meanwhile
        assert room.of(2) - 10 == counts[-1]
        turns.go_on()
    assert counts == sorted(counts)
    assert counts[0] < 50
    assert all(stream.log for stream in streams)


def test_near_the_memory_bound_less_is_open_until_there_is_room(room):
    """When the process has too much, reads would wait on after it has not."""
    room.is_short = True
    room.add(1, 100)
    stream = Stream(room, 1, 100)
    room.claim(stream)
    assert not stream.log
    room.is_short = False
    room.grant()
    assert stream.log


def test_what_is_missing_is_told_once(room):
    """Nobody would look after clients that leave answers unread, or somebody for each read."""
    told = []
    room.on_missing = lambda: told.append(room.missing_bytes)
    room.add(1, 990)
    room.claim(greedy := Stream(room, 1, 64))
    assert not room.missing_bytes, "who waits is over its share"
    room.claim(modest := Stream(room, 2, 64))
    assert room.missing_bytes == 54
    room.add(1, -40)
    assert room.missing_bytes == 14
    room.claim(Stream(room, 3, 32))
    assert told == [54]
    room.withdraw(modest)
    assert not room.missing_bytes
    room.claim(modest)
    assert told == [54, 46]
    room.add(1, -950)
    assert greedy.log
    assert not room.missing_bytes


def test_lines_are_few_whatever_is_asked_for(room):
    """A client asks for another size each time, and whoever gives back looks at a thousand."""
    room.add(0, 10_000_000)
    for tenant_id in range(1, 3000):
        room.claim(Stream(room, tenant_id, 11 * tenant_id))
    assert len(room._lines) < 60
    assert all(_rounded(size) >= size > 0.79 * _rounded(size) for size in range(1, 5000))
    assert all(_rounded(1 << n) == 1 << n for n in range(40))


def test_a_claim_costs_no_more_beside_many_others():
    """A thousand tenants that wait, and each read that ends looks at all of them."""

    class Counting(AnswerRoom):
        asked = 0

        def is_within(self, tenant_id, size_bytes=0):
            Counting.asked += 1
            return super().is_within(tenant_id, size_bytes)

    room = Counting(10_000, lambda call: call())
    room.add(0, 9_990)
    for tenant_id in range(1, 1000):
        room.claim(Stream(room, tenant_id, 10, 10))
    room.add(0, -9_990)
    while room.total:
        tenant_id = next(iter(room._of))
        room.add(tenant_id, -10)
        assert sum(map(len, room._lines.values())) <= 2 * len(room._claims) + 65
    assert not room._claims
    assert Counting.asked < 10 * 1000
