"""Requests that wait for their turn on a simulated node: order, bounds, credit, weights."""

import asyncio

import pytest

from kvapi.errors import BadRequest, Cancelled, Throttled
from kvapi.pb import kv_pb2
from kvnode.admission.credit_window import WINDOW_MIN, CreditWindow
from kvnode.admission.task import Task
from kvnode.server.unread import Unread
from kvnode.tenants.lifecycle import NameInvalid
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.shared_node import GET, ask, frame, on_shared_node, shared

TXN = b"t" * 16


@on_shared_node
async def test_one_frame_does_not_take_more_than_a_slice(node, one, two):
    """A thousand requests in one frame run to the end while everyone waits."""
    gets = ask(one, [{"get": GET}] * 500)
    assert 5 < sum(get.done() for get in gets) < 100
    assert len(one.session.lane) > 400
    assert node.core.lane_room.requests == len(one.session.lane)
    quiet = two.request(get=GET)
    await quiet
    assert sum(get.done() for get in gets) < 200, "the quiet tenant was not first"
    await asyncio.gather(*gets)
    assert not one.session.lane
    assert node.core.lane_room.requests == node.core.lane_room.bytes == 0


@on_shared_node
async def test_requests_of_one_stream_keep_their_order(node, one, two):
    """A Rollback overtakes its transaction's Lock, and the row stays locked."""
    ask(one, [{"get": GET}] * 200)
    lock = kv_pb2.Lock(keys=[b"row"])
    ask(one, [{"txn_id": TXN, "lock": lock}, {"txn_id": TXN, "rollback": kv_pb2.Rollback()}])
    await one.request(get=GET)
    assert not len(node.core.locks.table)


@on_shared_node
async def test_whoever_holds_locks_goes_first(node, one, two):
    """Everyone who waits for a row waits for all that its holder's neighbours do."""
    holder = node.stream(one.session.tenant.id)
    await holder.request(txn_id=TXN, lock=kv_pb2.Lock(keys=[b"row"]))
    crowd = [node.stream(one.session.tenant.id) for _ in range(5)]
    gets = [get for stream in crowd for get in ask(stream, [{"get": GET}] * 200)]
    await holder.request(txn_id=TXN, commit=kv_pb2.Commit())
    assert sum(get.done() for get in gets) < 200
    await asyncio.gather(*gets)


@on_shared_node
async def test_a_waiting_request_can_be_cancelled(node, one, two):
    """A cancelled statement uses the node's time all the same."""
    *_, last = ask(one, [{"get": GET}] * 300)
    one.receive(frame([kv_pb2.Request(id=9999, cancel=kv_pb2.Cancel(request_id=one.next_id))]))
    with pytest.raises(Cancelled):
        await last
    again = kv_pb2.Request(id=one.next_id - 1, get=GET)
    first = one.waiting[one.next_id - 1]
    one.receive(frame([again]))
    with pytest.raises(BadRequest, match="already outstanding"):
        await first


@on_shared_node
async def test_elastic_work_waits_for_regular_work(node, one, two):
    """A backfill takes its tenant's, and its neighbours', time."""
    stage = kv_pb2.Stage(writes=kv_pb2.Writes(put_keys=[b"s"], put_values=[b"v"]))
    busy = [node.stream(two.session.tenant.id) for _ in range(4)]
    gets = [get for stream in busy for get in ask(stream, [{"get": GET}] * 300)]
    staged, beat, unstaged = ask(
        one,
        [
            {"txn_id": TXN, "stage": stage},
            {"txn_id": TXN, "heartbeat": kv_pb2.Heartbeat()},
            {"txn_id": TXN, "unstage": kv_pb2.Unstage(layer=2)},
        ],
    )
    await beat
    assert not staged.done()
    await unstaged
    assert staged.done(), "an Unstage comes after every Stage before it"
    await one.request(txn_id=TXN, commit=kv_pb2.Commit())
    assert (await one.request(get=kv_pb2.Get(key=b"s"))).value.value == b"v"
    await asyncio.gather(*gets)
    assert not one.session.elastic.txns


@on_shared_node
async def test_chunks_of_a_transaction_that_holds_locks(node, one, two):
    """A large transaction beside a busy neighbour breaks the queue for everyone."""
    writes = kv_pb2.Writes(put_keys=[b"s"], put_values=[b"v"])
    more = kv_pb2.Writes(put_keys=[b"t"], put_values=[b"v"])
    await one.request(txn_id=TXN, stage=kv_pb2.Stage(writes=writes))
    flood = ask(two, [{"get": GET}] * 500)
    staged = [
        *ask(one, [{"txn_id": b"o" * 16, "stage": kv_pb2.Stage(writes=more)}]),
        *ask(one, [{"txn_id": TXN, "stage": kv_pb2.Stage(writes=writes)}]),
    ]
    await asyncio.gather(*staged, *flood)
    await one.request(txn_id=TXN, commit=kv_pb2.Commit())
    await asyncio.sleep(1)  # virtual: what was staged is moved
    assert len(node.core.scheduler) == 0


def test_elastic_work_does_not_starve():
    """A node that is never idle never collects its garbage."""

    async def body(loop):
        _node, one, two = await shared(loop)
        ends_s = loop.time() + 3

        async def flood():
            while loop.time() < ends_s:
                await asyncio.gather(*ask(two, [{"get": GET}] * 64))

        flooding = asyncio.ensure_future(flood())
        served = 0
        while loop.time() < ends_s:
            await one.request(priority=2, multi_get=kv_pb2.MultiGet(keys=[b"k"] * 300))
            served += 1
        await flooding
        assert served > 20

    run_virtual(body)


def test_what_a_tenant_lets_wait_is_bounded():
    """A tenant with many processes fills the node's memory with requests."""

    async def body(loop):
        _node, one, _two = await shared(loop, lane_requests_tenant_max=300)
        gets = ask(one, [{"get": GET}] * 1000)
        results = await asyncio.gather(*gets, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Throttled)]
        assert refused
        assert all(r.number >= 10 and r.detail == Throttled.REPEAT for r in refused)
        assert len(refused) + 300 <= 1000
        gets = ask(one, [{"txn_id": TXN, "get": GET}] * 1000)
        await asyncio.gather(*gets)  # what may depend on an order is never refused

    run_virtual(body)


def test_off_means_that_nothing_waits():
    """The switch for comparisons would compare the same with itself."""

    async def body(loop):
        node, one, _two = await shared(loop, admission=False)
        gets = ask(one, [{"get": GET}] * 1000)
        assert all(get.done() for get in gets)
        await one.request(priority=2, scan=kv_pb2.Scan())
        assert not len(node.core.scheduler)

    run_virtual(body)


def test_weights_are_kept_and_checked():
    """A tenant pays for a larger share and gets it until the next restart, or takes it all."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        await node.lifecycle.change("acme", weight=4.0)
        for wrong in (0.0, 0.5, 101.0, float("nan")):
            with pytest.raises(NameInvalid, match="weight"):
                await node.lifecycle.change("acme", weight=wrong)
        node.crash()
        node.stream(tenant_id)
        assert node.core.tenants.find("acme").record.weight == 4
        assert node.core.scheduler.queue._weights == {tenant_id: 4.0}

    run_virtual(body)


def test_the_window_follows_the_waits():
    """A flood stays in the node's memory, or a tenant is kept small for ever."""
    window = CreditWindow(1024)
    assert not window.waited(0.001, is_within_share=False, now_s=0.0)
    assert not window.waited(0.5, is_within_share=True, now_s=0.0)
    sizes = []
    for turn in range(20):
        window.waited(0.5, is_within_share=False, now_s=turn / 20)
        sizes.append(window.size)
    assert sizes[:3] == [512, 256, 128]
    assert sizes[-1] == WINDOW_MIN
    assert window.waited(0.001, is_within_share=False, now_s=0.99)
    assert not window.waited(0.001, is_within_share=False, now_s=0.991), "at most so often"
    for turn in range(20):
        window.waited(0.001, is_within_share=False, now_s=1.1 + turn / 20)
    assert window.size == 1024
    assert not window.is_limited


def test_a_flooding_tenant_gets_less_credit_and_gets_it_back():
    """What cannot be done waits in the node, and a holder's commit behind those who wait for it."""

    async def body(loop):
        node, one, two = await shared(loop)
        floods = [node.stream(one.session.tenant.id) for _ in range(8)]
        credits = []
        send = floods[0].send

        def watching(sent):
            answer = kv_pb2.ServerFrame.FromString(sent)
            if answer.credit_requests:
                credits.append(answer.credit_requests)
            send(sent)

        floods[0].send = watching
        for _ in range(6):
            gets = [get for stream in floods for get in ask(stream, [{"get": GET}] * 900)]
            await asyncio.gather(two.request(get=GET), *gets)
        assert min(credits) < 900
        held = node.stream(one.session.tenant.id)
        await held.request(txn_id=TXN, lock=kv_pb2.Lock(keys=[b"row"]))
        before = credits[-1]
        for number in range(5):
            floods[0].request(txn_id=b"%016d" % number, lock=kv_pb2.Lock(keys=[b"row"]))
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert credits[-1] >= before + 5 or credits[-1] == 1024
        await asyncio.sleep(2)
        assert credits[-1] == 1024

    run_virtual(body)


def test_a_task_that_holds_the_loop_is_noticed():
    """Someone writes a loop over a million rows, and nobody finds out why others wait."""

    async def body(loop):
        node = SimNode(loop)
        node.core.watchdog.start()
        await asyncio.sleep(1)

        class Rude(Task):
            tenant_id = 7

            def run(self, ends_s):
                loop.burn(0.03)
                return True

        node.core.scheduler.submit(Rude())
        await asyncio.sleep(1)
        watchdog = node.core.watchdog
        assert watchdog.held_s_max == pytest.approx(0.03, abs=0.001)
        assert watchdog.said_count >= 1
        stalls = dict(watchdog.stalls.buckets())
        assert (stalls["0.02"], stalls["0.05"], watchdog.held_count) == (0, 1, 1)
        watchdog.stop()

    run_virtual(body)


@on_shared_node
async def test_blocked_reads_are_forgotten_with_their_stream(node, one, two):
    """Clients that ask, read nothing and go away would fill the node's memory."""
    puts = {"put_keys": [b"k%04d" % n for n in range(4000)], "put_values": [b"v"] * 4000}
    await one.request(commit=kv_pb2.Commit(writes=kv_pb2.Writes(**puts)))
    for _ in range(3):
        one.request(scan=kv_pb2.Scan())
    turns = 0
    while len(one.session.outstanding) < 3 and turns < 100:
        turns += 1
        await asyncio.sleep(0)
    one.session.pause()
    await asyncio.sleep(0.1)
    assert len(node.core.scheduler) == 3
    one.break_off()
    assert not len(node.core.scheduler)


def test_how_many_long_reads_wait_is_bounded():
    """A tenant that asks for ten thousand scans at once fills the queue of the node."""

    async def body(loop):
        _node, one, _two = await shared(loop, lane_requests_tenant_max=20)
        puts = {"put_keys": [b"k%04d" % n for n in range(2000)], "put_values": [b"v"] * 2000}
        await one.request(commit=kv_pb2.Commit(writes=kv_pb2.Writes(**puts)))
        for priority in (0, 2):
            asked = []
            for _ in range(60):
                await asyncio.sleep(0)
                asked.append(one.request(priority=priority, scan=kv_pb2.Scan()))
            results = await asyncio.gather(*asked, return_exceptions=True)
            refused = [result for result in results if isinstance(result, Throttled)]
            assert 0 < len(refused) < 60
            assert all(error.number >= 10 for error in refused), "says when to come back"
        assert not len(one.session.outstanding)
        assert one.session.credit.long_reads == 0
        assert not one.session.tenant.reads

    run_virtual(body)


def test_reads_that_wait_for_room_count_as_well():
    """A tenant asks for ten thousand scans for whose answers there is no room."""

    async def body(loop):
        node, one, two = await shared(loop, lane_requests_tenant_max=20)
        answers, scheduler = node.core.memory.answers, node.core.scheduler
        answers.add(two.session.tenant.id, answers.bytes_max)
        for priority in (0, 2):
            asked = []
            for _ in range(60):
                asked.append(one.request(priority=priority, scan=kv_pb2.Scan()))
                await asyncio.sleep(0.001)
            assert scheduler.aside_count == len(scheduler) == 20
            assert scheduler.queue.aside_count == (20 if priority == 0 else 0)
            cancel = kv_pb2.Request(
                id=2_000 + priority, cancel=kv_pb2.Cancel(request_id=one.next_id - 59)
            )
            one.receive(frame([cancel]))
            assert scheduler.aside_count == 19
            answers.add(two.session.tenant.id, -answers.bytes_max)
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert sum(isinstance(result, Throttled) for result in results) == 40
            assert isinstance(results[0], Cancelled)
            answers.add(two.session.tenant.id, answers.bytes_max)
        assert not len(scheduler)
        assert answers.total == answers.bytes_max

    run_virtual(body)


@on_shared_node
async def test_a_lost_client_gives_its_room_to_who_waits(node, one, two):
    """What a client left unread is free when it is gone, and reads that wait for it hang."""
    answers = node.core.memory.answers
    unread = Unread(two.session, lambda: answers.bytes_max)
    unread.paused()
    scan = one.request(scan=kv_pb2.Scan())
    await asyncio.sleep(0.01)
    assert not scan.done()
    unread.closed()
    await scan
    assert not answers.total


@on_shared_node
async def test_whatever_waits_ends_when_it_is_cancelled(node, one, two):
    """A statement's time is up, and the node works on for it."""
    puts = {"put_keys": [b"k%04d" % n for n in range(2000)], "put_values": [b"v"] * 2000}
    await one.request(commit=kv_pb2.Commit(writes=kv_pb2.Writes(**puts)))
    flood = ask(two, [{"get": GET}] * 500)
    stage = kv_pb2.Stage(writes=kv_pb2.Writes(put_keys=[b"s"], put_values=[b"v"]))
    asked = [
        one.request(scan=kv_pb2.Scan()),
        one.request(priority=2, scan=kv_pb2.Scan()),
        one.request(txn_id=TXN, stage=stage),
    ]
    last = one.next_id
    cancels = [
        kv_pb2.Request(id=1000 + n, cancel=kv_pb2.Cancel(request_id=last - n)) for n in range(3)
    ]
    one.receive(frame(cancels))
    assert all(isinstance(future.exception(), Cancelled) for future in asked), "in no time"
    await asyncio.gather(*flood)
    assert len(node.core.scheduler) == 0
