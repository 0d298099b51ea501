"""What a long read says that it cost."""

from kvapi.pb import kv_pb2
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

ROWS = 2_000


class HalfThere:
    """The CPU of a thread that is kept waiting for a core half of the time."""

    def __init__(self, loop):
        self.loop = loop

    def thread_s(self):
        return self.loop.monotonic_s() / 2

    process_s = thread_s


def test_a_scan_costs_the_cpu_it_had_and_not_the_time_it_took():
    """Tenants pay for what their neighbours did on the same cores."""

    async def body(loop):
        node = SimNode(loop, engine=BusyEngine(loop, row_s=5e-6))
        stream, other = [node.stream(await node.create(name)) for name in ("one", "two")]
        keys = [b"k%04d" % n for n in range(ROWS)]
        writes = kv_pb2.Writes(put_keys=keys, put_values=keys)
        await stream.request(commit=kv_pb2.Commit(writes=writes))
        whole = await stream.request(scan=kv_pb2.Scan())
        assert whole.cpu_us >= ROWS * 5
        turns = node.core.scheduler.turn_count
        node.core.cpu = HalfThere(loop)
        scan = stream.request(scan=kv_pb2.Scan())
        get = other.request(get=kv_pb2.Get(key=b"k"))
        answer = await scan
        await get
        assert node.core.scheduler.turn_count > turns, "several quanta"
        assert abs(answer.cpu_us - whole.cpu_us / 2) < 0.2 * answer.cpu_us
        many = await stream.request(multi_get=kv_pb2.MultiGet(keys=keys[:600]))
        assert 0 < many.cpu_us < answer.cpu_us

    run_virtual(body)
