"""The real node's event loop under wild tenants, in virtual time that its work takes."""

import asyncio
import os

import pytest

from admission.fairness import fairness_index
from kvapi.errors import Cancelled, ConnectionLost, KvError
from kvapi.pb import kv_pb2
from tests.sim.busy_field import Field
from tests.sim.virtual_loop import run_virtual

SEEDS = range(max(8, int(os.environ.get("INSULA_SIM_SEEDS", "0"))))
SLICE_S = 0.001


async def quiet_beside(loop, wild, *, admission, depth=16, streams=4):
    """Return the waits of a quiet tenant beside one that does `wild` as fast as it can."""
    field = Field(loop, admission=admission)
    quiet, noisy = await field.tenant("quiet"), await field.tenant("noisy")
    more = [noisy] + [field.node.stream(noisy.session.tenant.id) for _ in range(streams - 1)]
    field.ends_s = loop.time() + 0.5
    make = getattr(field, wild)
    waits, *_ = await asyncio.gather(
        field.quiet(quiet, field.get),
        *(field.closed_loop(stream, make, depth=depth) for stream in more),
    )
    return waits


@pytest.mark.parametrize("wild", ["get", "scan", "lock_many"])
def test_a_quiet_tenant_does_not_notice_a_wild_one(wild):
    """One tenant's flood of reads or scans makes everyone's point reads wait for all of it."""

    async def body(loop):
        waits = await quiet_beside(loop, wild, admission=True)
        assert len(waits) > 15
        assert waits[-1] <= 3 * SLICE_S, waits[-1]
        if wild == "get":
            off = await quiet_beside(loop, wild, admission=False)
            assert off[len(off) // 2] > 2 * waits[len(waits) // 2], "nothing was gained"

    run_virtual(body)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 4)])
def test_tenants_share_by_weight(weights):
    """A tenant gets more for asking more, or a weight does nothing."""

    async def body(loop):
        field = Field(loop)
        streams = [
            await field.tenant(f"t{index}", weight=weight) for index, weight in enumerate(weights)
        ]
        field.ends_s = loop.time() + 0.5
        answered = await asyncio.gather(
            *(
                field.closed_loop(stream, field.get, depth=20 * (1 + index))
                for index, stream in enumerate(streams)
            )
        )
        assert fairness_index(answered, weights) > 0.97, answered

    run_virtual(body)


def test_a_scan_takes_turns_with_its_tenants_own_reads():
    """A report would stop the application of the same tenant."""

    async def body(loop):
        field = Field(loop)
        stream = await field.tenant("acme")
        field.ends_s = loop.time() + 0.3
        waits, scans = await asyncio.gather(
            field.quiet(stream, field.get), field.closed_loop(stream, field.scan, depth=8)
        )
        assert waits[-1] <= 12 * SLICE_S
        assert scans > 30

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_whatever_happens(seed):
    """A request that waits for its turn is forgotten, answered twice, or stays for ever."""

    async def body(loop):
        field = Field(loop, seed=seed)
        rng, node = field.rng, field.node
        names = [f"t{n}" for n in range(rng.randint(2, 5))]
        streams = [await field.tenant(name, rows=100) for name in names]
        asked = []
        kinds = (field.get, field.get, field.scan, field.put, field.lock_many)
        for _ in range(rng.randint(20, 60)):
            stream = rng.choice(streams)
            few = rng.choice((kinds, (field.get, field.scan)))
            for _ in range(rng.choice((1, 5)) if few is kinds else 200):
                fields = rng.choice(few)()
                asked.append(stream.request(priority=rng.choice((0, 0, 0, 1, 2)), **fields))
                if rng.random() < 0.1:
                    target = rng.randint(max(1, stream.next_id - 50), stream.next_id)
                    cancel = kv_pb2.Request(id=1 << 40, cancel=kv_pb2.Cancel(request_id=target))
                    if not stream.session.is_closed:
                        stream.receive(kv_pb2.ClientFrame(requests=[cancel]))
            if rng.random() < 0.1:
                stream.session.pause()
                loop.call_later(rng.uniform(0, 0.01), stream.session.resume)
            if rng.random() < 0.05:
                streams.remove(stream)
                stream.break_off()
                streams.append(node.stream(stream.session.tenant.id))
            await asyncio.sleep(rng.choice((0, 0.0005, 0.01)))
        async with asyncio.timeout(60):
            results = await asyncio.gather(*asked, return_exceptions=True)
        failed = {type(r) for r in results if isinstance(r, KvError)}
        assert failed <= {Cancelled, ConnectionLost}, failed
        assert sum(not isinstance(r, KvError) for r in results) > len(results) // 2
        core = node.core
        assert len(core.scheduler) == 0
        assert (core.lane_room.requests, core.lane_room.bytes) == (0, 0)
        for tenant in core.tenants.loaded():
            assert (tenant.lane_room.requests, tenant.lane_room.bytes) == (0, 0)
            assert not tenant.reads
        for stream in streams:
            assert not stream.waiting
            assert not len(stream.session.outstanding)
            assert stream.session.read_gate.entered == 0

    run_virtual(body)


def test_a_crash_with_a_full_queue_starts_clean():
    """The next life of the node works for streams that are gone."""

    async def body(loop):
        field = Field(loop)
        stream, other = await field.tenant("acme"), await field.tenant("globex")
        for _ in range(200):  # until the node knows that it is shared
            await asyncio.gather(stream.request(**field.get()), other.request(**field.get()))
        asked = [stream.request(**field.get()) for _ in range(5_000)]
        field.node.crash()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(result, ConnectionLost) for result in results)
        assert len(field.node.core.scheduler) == 0
        again = field.node.stream(stream.session.tenant.id)
        assert (await again.request(**field.get())).value.HasField("value")

    run_virtual(body)
