"""The noisy bench counts what it says."""

import argparse
import asyncio
import os
import signal

import asyncpg
import pytest

from bench.noisy import loads
from bench.noisy.failures import describe, is_refusal, may_have_happened
from bench.noisy.kept import Kept
from bench.noisy.main import names
from bench.noisy.scenarios import NAMES


def server_error(state, text):
    error = asyncpg.PostgresError(text)
    error.sqlstate = state
    return error


def make_load(clients=2):
    return loads.Load(argparse.Namespace(url="", clients=clients, rows=1, unix="", credential=""))


@pytest.fixture
def asked(monkeypatch):
    """Let a load ask a function of the test instead of a server."""

    def use(ask):
        monkeypatch.setattr(loads, "_connects", lambda _: ask)

    return use


def test_several_scenarios_in_one_word():
    """`--only a,b` would measure everything, or nothing."""
    assert names("a, b") == ["a", "b"]
    assert set(names(",".join(NAMES))) == set(NAMES)
    with pytest.raises(argparse.ArgumentTypeError, match=r"no scenario 'z'; there are a, b"):
        names("a,z")


def test_what_failed_may_have_happened():
    """A refused commit would be missed, or a lost one excused."""
    assert not may_have_happened(server_error("40001", "conflict"))
    assert not may_have_happened(server_error("53300", "full"))
    assert may_have_happened(server_error("40003", "who knows"))
    assert may_have_happened(ConnectionResetError())
    assert is_refusal(server_error("57P03", "starting"))
    assert not is_refusal(server_error("57P01", "ending"))
    assert describe(server_error("40001", "conflict\nmore")) == "40001: conflict"


@pytest.mark.parametrize(
    ("unknown", "found", "is_ok"),
    [(0, 10, True), (0, 9, False), (0, 11, False), (1, 11, True), (1, 12, False), (5, 10.5, False)],
)
def test_a_lost_write_is_seen(unknown, found, is_ok):
    """The bench would say that nothing is lost whatever was."""
    assert Kept(what="hot", acknowledged=10, unknown=unknown, found=found).is_ok == is_ok


async def test_a_load_ends_with_the_answers_to_its_last_requests(asked):
    """The rows would be more than what was acknowledged: a lost write could hide."""
    answered = 0

    async def ask(turn):
        nonlocal answered
        if answered == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.001)
        answered += 1

    asked(ask)
    load = make_load()
    await loads.run(loads.CONNECTS, load)
    assert load.acknowledged == answered == sum(load.done.values())
    assert (load.unknown, load.stuck) == (0, 0)
    assert 0 < load.idle_s < 1


async def test_a_client_without_an_answer_is_stuck(asked):
    """A deadlock would look like a slow end."""
    forever = asyncio.Event()

    async def ask(turn):
        os.kill(os.getpid(), signal.SIGTERM)
        await forever.wait()

    asked(ask)
    load = make_load()
    await loads.run(loads.CONNECTS, load, drain_s_max=0.01)
    assert (load.stuck, load.unknown, load.acknowledged) == (2, 2, 0)


async def test_errors_are_counted_by_message_and_do_not_end_a_load(asked):
    """One refused connection would end the flood; a real error would have no name."""

    async def ask(turn):
        await asyncio.sleep(0)
        if turn == 150:
            os.kill(os.getpid(), signal.SIGTERM)
        raise server_error("53300", "too many clients")

    asked(ask)
    load = make_load(clients=1)
    await loads.run(loads.CONNECTS, load)
    assert load.errors["53300: too many clients"] >= 151
    assert load.unknown == 0


async def test_a_load_that_only_fails_has_failed(asked, monkeypatch):
    """The quiet tenant would be measured beside nobody."""
    monkeypatch.setattr(loads, "_AFTER_ERROR_S", 0)

    async def ask(turn):
        raise server_error("42P01", "no such table")

    asked(ask)
    load = make_load()
    with pytest.raises(asyncpg.PostgresError, match="no such table"):
        await loads.run(loads.CONNECTS, load)
    assert load.errors["42P01: no such table"] > 100
