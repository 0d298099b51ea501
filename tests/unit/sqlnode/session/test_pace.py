"""Where a session's statements wait for request units, and what its client hears of it."""

import asyncio
import re
from types import SimpleNamespace

import pytest

from kvapi.client.results import Limits
from kvapi.client.token_calls import TokensGot
from pgwire.errors import ConfigurationLimitExceeded
from runtime.tasks import spawn
from sqlnode.session.output import Output
from sqlnode.session.pace import SessionPace
from sqlnode.statements import read_statements
from sqlnode.throttle import Throttle
from tests.sim.virtual_loop import on_virtual_loop


class Meter:
    def __init__(self):
        self.total = 0.0

    def ru(self):
        return self.total


class Link:
    """Keeps what was sent."""

    def __init__(self):
        self.sent = []

    def write(self, data):
        self.sent.append(bytes(data))


class World:
    """A throttle with a node that grants the rate, and sessions that look real to it."""

    def __init__(self, loop, rate=100.0):
        self.loop, self.rate = loop, rate
        self.meter = Meter()
        self.throttle = Throttle(self.meter, self.ask, client_id=1, loop=loop)
        self.throttle.set_limits(Limits(rate, 0.0, 0.0, False))

    def ask(self, request):
        future = self.loop.create_future()
        got = TokensGot(request.sequence, 0.0, self.rate * 2, 2.0, self.rate)
        self.loop.call_later(0.001, lambda: future.cancelled() or future.set_result(got))
        return future

    def session(self, mode="wait", **txn):
        link = Link()
        held = SimpleNamespace(locks=SimpleNamespace(has_any=False), has_writes=False)
        vars(held).update(txn)
        session = SimpleNamespace(
            out=Output(link),
            link=link,
            parameters=SimpleNamespace(values={"throttle_mode": mode}),
            block=SimpleNamespace(txn=held),
            info=SimpleNamespace(tenant="acme", wait_event=None),
            account=SimpleNamespace(rest=lambda: None, wake=lambda: None),
        )
        session.pace = SessionPace(session, self.throttle)
        return session

    async def run(self, session, sql, cost=0.0):
        (statement,) = read_statements(sql)
        await session.pace.begin(statement)
        self.meter.total += cost


@on_virtual_loop
async def paced(loop, test):
    """Run an async test body on a virtual loop."""
    world = World(loop)
    await test(world)
    world.throttle.close()


@paced
async def test_a_wait_is_told_once_and_at_once(world):
    """The client would wait for seconds and not know why, or be told a hundred times."""
    session = world.session()
    await world.run(session, "select 1", cost=400)
    await asyncio.sleep(0.01)
    task = spawn(world.run(session, "select 2"), name="statement")
    await asyncio.sleep(0.19)
    assert session.info.wait_event == ("Throttle", "RequestUnits")
    assert not session.link.sent, "short waits are nobody's business"
    await asyncio.sleep(0.03)
    (notice,) = session.link.sent
    assert b'tenant "acme" is limited to 100 request units per second' in notice
    await task
    assert session.info.wait_event is None
    world.meter.total += 100
    await asyncio.sleep(0.01)
    await session.pace.go_on()
    assert len(session.link.sent) == 1, "once for each statement"


@paced
async def test_short_waits_add_up(world):
    """A statement that waits a little at each of a thousand batches would never say why."""
    session = world.session()
    await world.run(session, "select 1", cost=100)
    for _ in range(5):
        world.meter.total += 12
        await asyncio.sleep(0.01)
        await session.pace.go_on()
    assert len(session.link.sent) == 1


@paced
async def test_the_notice_says_how_much_is_owed_and_how_long_that_takes(world):
    """Whoever reads it does not know whether to wait or to give up."""
    session = world.session()
    await world.run(session, "select 1", cost=400)
    await asyncio.sleep(0.01)
    await world.run(session, "select 2")
    (sent,) = session.link.sent
    assert b"The balance of this process is -" in sent
    assert re.search(rb"about [1-4]\.\d more seconds", sent)


@paced
async def test_rows_that_were_not_sent_stay_unsent(world):
    """A statement could not be run again after a conflict because of a notice."""
    session = world.session()
    await world.run(session, "select 1", cost=400)
    await asyncio.sleep(0.01)
    session.out.add(b"rows")
    await session.pace.go_on()
    assert not session.link.sent
    session.out.flush()
    assert b"throttled" in session.link.sent[0]


@paced
async def test_fail_mode_fails_before_it_begins(world):
    """Who prefers an error to a wait gets neither, or cannot get out of that mode again."""
    session = world.session("fail")
    await world.run(session, "select 1", cost=400)
    await asyncio.sleep(0.01)
    with pytest.raises(ConfigurationLimitExceeded) as failed:
        await world.run(session, "select 2")
    assert failed.value.sqlstate == "53400"
    assert "limited to 100 request units per second" in failed.value.message
    for free in ("set throttle_mode = wait", "show throttle_mode", "commit", "rollback"):
        await world.run(session, free)
    start_s = world.loop.time()
    await session.pace.go_on()
    assert world.loop.time() - start_s > 1, "what has begun is paced"


@paced
async def test_who_holds_locks_goes_first(world):
    """Others wait for the locks while the holder stands at the end of the line."""
    order = []

    async def run(name, session):
        await world.run(session, "select 1", cost=50)
        order.append(name)

    await world.run(world.session(), "select 1", cost=400)
    await asyncio.sleep(0.01)
    tasks = [spawn(run(f"other {n}", world.session()), name="other") for n in range(3)]
    await asyncio.sleep(0.01)
    tasks.append(spawn(run("holder", world.session(has_writes=True)), name="holder"))
    await asyncio.gather(*tasks)
    assert order == ["holder", "other 0", "other 1", "other 2"]


@paced
async def test_a_promise_counts_once(world):
    """Of statements that waited only half as many are let in as there is room for."""
    await world.run(world.session(), "select 1", cost=400)
    await asyncio.sleep(1)
    await world.run(world.session(), "select 2")
    assert world.loop.time() > 2, "it has waited"
    assert world.throttle.promised_ru == pytest.approx(world.throttle.cost_ru)


@paced
async def test_a_canceled_statement_leaves_the_line(world):
    """Its place would swallow the turn of the next one."""
    await world.run(world.session(), "select 1", cost=100)
    await asyncio.sleep(0.01)
    task = spawn(world.run(world.session(), "select 2"), name="statement")
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.throttle.waiting_count == 0
    await world.run(world.session(), "select 3")


@paced
async def test_removed_limits_let_everybody_in(world):
    """Statements would wait for grants that nobody gives any more."""
    await world.run(world.session(), "select 1", cost=10_000)
    await asyncio.sleep(0.01)
    tasks = [spawn(world.run(world.session(), "select 2"), name="s") for _ in range(3)]
    await asyncio.sleep(0.01)
    assert world.throttle.waiting_count == 3
    start_s = world.loop.time()
    world.throttle.set_limits(None)
    await asyncio.gather(*tasks)
    assert world.loop.time() == start_s
    assert not world.throttle.is_on


@paced
async def test_a_used_up_budget_ends_waiting_statements_too(world):
    """They would wait until next month."""
    await world.run(world.session(), "select 1", cost=10_000)
    await asyncio.sleep(0.01)
    task = spawn(world.run(world.session(), "select 2"), name="statement")
    await asyncio.sleep(0.01)
    world.throttle.set_limits(Limits(100.0, 0.0, 5000.0, True))
    with pytest.raises(ConfigurationLimitExceeded, match="monthly budget of 5000"):
        await task
    with pytest.raises(ConfigurationLimitExceeded, match="monthly budget"):
        await world.run(world.session("fail"), "select 3")
    await world.run(world.session(), "rollback")
