"""Polling for a moment before the loop sleeps."""

import pytest

from kvapi.busy_poll import BusyPoll


class Turns:
    """A loop of which only the callbacks count; its clock moves by `step_s` a look."""

    def __init__(self, step_s):
        self.step_s = step_s
        self.now_s = 1.0
        self.ready = []

    def call_soon(self, callback):
        self.ready.append(callback)

    def monotonic_s(self):
        self.now_s += self.step_s
        return self.now_s

    def run(self):
        turns = 0
        while self.ready:
            self.ready.pop(0)()
            turns += 1
        return turns


def poll_on(turns):
    return BusyPoll(turns, turns.monotonic_s, wait_s_max=50e-6)


def test_it_ends_after_its_time():
    """A process that waits for a slow answer would burn its CPU."""
    turns = Turns(1e-6)
    poll_on(turns).expect()
    assert 40 <= turns.run() <= 60


def test_it_ends_though_the_clock_stands_still():
    """A simulation in virtual time would never go on."""
    turns = Turns(0.0)
    poll_on(turns).expect()
    assert turns.run() == 200


def test_what_arrives_ends_it():
    """The loop would poll on with nothing to wait for."""
    turns = Turns(1e-6)
    poll = poll_on(turns)
    poll.expect()
    poll.arrived()
    assert turns.run() == 1


@pytest.mark.parametrize(("misses", "skipped"), [(1, 2), (3, 8)])
def test_vain_polling_becomes_rare(misses, skipped):
    """An idle pair of processes would poll for ever."""
    turns = Turns(1e-6)
    poll = poll_on(turns)
    while misses:
        poll.expect()
        misses -= turns.run() > 0
    for _ in range(skipped):
        poll.expect()
        assert turns.run() == 0
    poll.expect()
    assert turns.run() > 0
