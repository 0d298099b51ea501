"""Cycles are collected in idle moments, and not by the way."""

import gc
import weakref

import pytest

from runtime.cycle_collector import CycleCollector
from tests.sim.virtual_loop import VirtualLoop


class Node:
    """Something that can be part of a cycle."""


def old_cycle():
    """Return a weak reference to a cycle that has survived its youth."""
    node = Node()
    node.me = node
    gc.collect(1)
    gc.collect(1)
    return weakref.ref(node)


@pytest.fixture
def watched():
    loop, activity = VirtualLoop(), [0]
    before = gc.get_threshold()
    collector = CycleCollector(loop, lambda: activity[0])
    collector.start()
    yield loop, activity, collector
    collector.stop()
    loop.close()
    assert gc.get_threshold() == before


def pass_time(loop, seconds):
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def test_cycles_go_when_the_process_is_idle(watched):
    """A node of which streams come and go would grow until it is killed."""
    loop, _, collector = watched
    cycle = old_cycle()
    assert cycle() is not None
    pass_time(loop, 2.5)
    assert cycle() is None
    assert collector.full_count == 1
    pass_time(loop, 5)
    assert collector.full_count == 1  # there was nothing more to look for


def test_a_busy_process_is_not_interrupted(watched):
    """Looking at everything that lives takes tens of milliseconds, in which nobody is answered."""
    loop, activity, collector = watched

    def work():
        activity[0] += 1
        loop.call_later(0.3, work)

    work()
    cycle = old_cycle()
    pass_time(loop, 10)
    assert collector.full_count == 0
    assert cycle() is not None
    assert gc.get_threshold()[2] == 2000  # nor does Python do so after ten rounds


def test_what_lives_at_the_start_is_not_looked_at(watched):
    """Modules, classes and descriptors are most of a small node's heap, and never garbage."""
    _, _, collector = watched
    collector.stop()
    assert gc.get_freeze_count() == 0
    collector.start()
    assert gc.get_freeze_count() > 10_000
