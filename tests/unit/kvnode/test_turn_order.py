"""What comes first on the loop: sockets, turns, answers."""

import asyncio
import socket

import uvloop

from kvnode.admission.scheduler import Scheduler
from kvnode.admission.task import Task
from kvnode.txn.write_batch import write_batch
from runtime.clock import SystemClock, WallCpuClock
from tests.unit.kvnode.stream_scene import commit, simulated

DEADLINE_S = 10


class Noted(Task):
    """Takes note of its turn."""

    tenant_id = 1

    def __init__(self, seen):
        self.seen = seen
        self.is_over = asyncio.Event()

    def run(self, ends_s):
        self.seen.append("turn")
        self.is_over.set()
        return True


def test_sockets_are_read_between_a_chunk_and_its_turn():
    """A point read that came during a neighbour's chunk waits for the neighbour's turn besides."""

    async def run():
        loop, clock, seen = asyncio.get_running_loop(), SystemClock(), []
        cpu = WallCpuClock(clock)
        scheduler = Scheduler(loop, clock, cpu, cores=1, quantum_s=0.001, is_enabled=True)
        task, (noisy, noisy_client), (quiet, quiet_client) = (
            Noted(seen),
            socket.socketpair(),
            socket.socketpair(),
        )

        def chunk():
            noisy.recv(1)
            quiet_client.send(b"?")
            scheduler.submit(task)

        def read():
            quiet.recv(1)
            seen.append("read")

        loop.add_reader(noisy, chunk)
        loop.add_reader(quiet, read)
        noisy_client.send(b"!")
        await asyncio.wait_for(task.is_over.wait(), DEADLINE_S)
        for one in (noisy, quiet):
            loop.remove_reader(one)
        for one in (noisy, noisy_client, quiet, quiet_client):
            one.close()
        return seen

    assert uvloop.run(run()) == ["read", "turn"]


@simulated
async def test_what_a_sync_ends_is_answered_at_once(node, stream, tenant_id):
    """A commit that is durable waits for whatever else the loop finds in its sockets."""
    written = []
    node.writer.run = lambda operations, report: written.append((operations, report))
    commits = [asyncio.ensure_future(commit(stream, {key: b"v"})) for key in (b"a", b"b")]
    await asyncio.sleep(0)
    frames = node.core.stats.frames_sent
    while written:
        operations, report = written.pop()
        report(write_batch(node.engine, operations))
        frames += 1
        assert node.core.stats.frames_sent == frames
    await asyncio.gather(*commits)
    assert node.core.stats.frames_sent == frames, "and once"
