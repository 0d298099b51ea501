"""The running KV node without its transports: what a stream or an operator works with.

**Model.** One `Core` per store. It owns the timeline, the lock table, the queue of writes, and the
tenants; `server/` feeds it from streams and `admin/` from operators.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from admission.queue import QueueConfig
from kvapi.errors import KvError
from kvapi.hlc import Hlc
from kvnode.admission.bulk_queue import BulkQueue
from kvnode.admission.io_gate import IoGate
from kvnode.admission.lane import LaneBounds, Room
from kvnode.admission.read_gate import ReadGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.unread_watch import UnreadWatch
from kvnode.admission.watchdog import Watchdog
from kvnode.admission.write_account import WriteAccount
from kvnode.admission.write_gate import WriteBounds, WriteGate
from kvnode.late_answers import LateAnswers
from kvnode.memory import NodeMemory
from kvnode.node_config import STAGED, NodeConfig
from kvnode.storage.engine import Engine, WriteTxn
from kvnode.tenants.bucket_keeper import BucketKeeper
from kvnode.tenants.records import NEWEST_TS, read_u64
from kvnode.tenants.registry import TenantRegistry
from kvnode.tenants.tenant import Tenant
from kvnode.tenants.usage import MICRO, read_month
from kvnode.txn.counter_steps import CounterSteps
from kvnode.txn.group_commit import GroupCommit, Operation, Writer
from kvnode.txn.intents import Intents
from kvnode.txn.layer_mover import LayerMover
from kvnode.txn.lock_waits import LockWaits
from kvnode.txn.operations import SystemOperation
from kvnode.txn.range_commit import RangeCommits
from kvnode.txn.sequencer import Sequencer
from kvnode.txn.timeline import Timeline
from kvnode.txn.validation import FindConflict, find_conflict
from kvnode.txn.validations import Validations
from runtime.clock import Clock, CpuClock, WallCpuClock
from runtime.cpu_limit import usable_cores


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs credentials: made once for each data directory."""

    cluster_id: bytes
    secret: bytes


@dataclass(slots=True)
class StreamStats:
    """Plain counters of the hot path; `metrics.py` shows them."""

    stream_count: int = 0
    streams_opened: int = 0
    streams_refused: int = 0
    frames_received: int = 0
    frames_sent: int = 0
    requests: int = 0
    errors: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0


class Core:
    """Everything that streams share. Owner: the event loop."""

    def __init__(  # noqa: PLR0913  all that a node stands on
        self,
        engine: Engine,
        writer: Writer,
        *,
        config: NodeConfig,
        identity: Identity,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        find_conflict: FindConflict = find_conflict,
        cpu: CpuClock | None = None,
    ) -> None:
        self.engine = engine
        self.config = config
        self.identity = identity
        self.clock = clock
        self.loop = loop
        self.epoch = clock.now_ns()
        self.stats = StreamStats()
        self.is_draining = False
        self.memory = NodeMemory(config.memory_bytes_max, loop.call_soon)
        self.late_answers = LateAnswers(loop.call_soon)
        self.unread = _unread_watch(config, self.memory, clock, loop)
        self.stream_tenants: dict[int, int] = {}  # of open streams, by their ids
        self.warm_stream_count = 0  # without a tenant so far
        self.timeline = Timeline(engine, Hlc(clock), durable_ts=_stored_ts(engine))
        self.cpu = cpu or WallCpuClock(clock)
        scheduler = self.scheduler = Scheduler(
            loop,
            clock,
            self.cpu,
            cores=usable_cores(),
            quantum_s=config.quantum_s,
            is_enabled=config.admission,
            queue=QueueConfig(tenant_items_max=config.lane_requests_tenant_max),
        )
        self.watchdog = Watchdog(loop, self.scheduler, self.cpu)
        self.lane_room = Room()  # of all streams
        self.locks = LockWaits(loop)
        self.io, self.writes = _write_gates(config, scheduler, clock, loop)
        self.bulk = BulkQueue[Operation](
            clock.monotonic_s, tenant_items_max=config.write_waits_tenant_max
        )
        self.group = self._group_commit(engine, writer)
        self._make_transactions(find_conflict)
        is_staged = config.range_commit == STAGED
        self.commits = RangeCommits(self.intents, self.sequencer, self.locks, is_staged=is_staged)
        self.counters = CounterSteps(self.timeline, self.group)
        self.buckets = BucketKeeper(self.group, clock, self._read_bill, has_trickle=config.trickle)
        self.tenants = TenantRegistry(
            self.timeline,
            key_bytes_max=engine.key_bytes_max,
            recent_keys_max=config.recent_keys_max,
            recent=self.memory.recent,
            load_bucket=self.buckets.load,
        )
        self.watchdog.name_of = self.tenants.name_of
        self._next_stream_id = 0
        self.intents.load(self.tenants.load)

    def _make_transactions(self, find_conflict: FindConflict) -> None:
        timeline, locks, group, config = self.timeline, self.locks, self.group, self.config
        mover = LayerMover(group, self.scheduler, self.loop)
        self.intents = Intents(
            timeline, locks, group, mover, writes=self.writes, config=config, loop=self.loop
        )
        self.validations = Validations(
            timeline,
            self.scheduler,
            rows_per_look=config.validate_rows_max,
            cpu=self.cpu,
            find_conflict=find_conflict,
        )
        self.sequencer = Sequencer(
            timeline, locks, group, self.intents, self.validations, self.writes
        )

    def _group_commit(self, engine: Engine, writer: Writer) -> GroupCommit:
        return GroupCommit(
            engine,
            writer,
            on_durable=self._on_durable,
            on_answered=self.late_answers.send,
            release_snapshots=self.timeline.release_snapshot,
            take_snapshot=self.timeline.snapshot,
            gate=WriteAccount(self.io, self.writes, self.scheduler, self.bulk),
            bulk=self.bulk,
        )

    @property
    def lane_bounds(self) -> LaneBounds:
        """How much may wait in the lanes of streams."""
        return LaneBounds(
            requests=self.config.credit_requests,
            bytes=self.config.lane_bytes_max,
            tenant_requests=self.config.lane_requests_tenant_max,
            node=self.lane_room,
            shared=self.memory.lanes,
        )

    def read_gate(self) -> ReadGate:
        """Return a gate for the long reads of a new stream."""
        answers, entered_max = self.memory.answers, self.config.reads_max
        return ReadGate(answers, self.scheduler.wake, entered_max=entered_max)

    @property
    def streams_max(self) -> int:
        """How many streams may be open."""
        return min(self.config.streams_max, self.memory.streams_max)

    def set_weight(self, tenant_id: int, weight: float) -> None:
        """Give a tenant its share of the loop and of the disk, from now on."""
        self.scheduler.set_weight(tenant_id, weight)
        self.writes.set_weight(tenant_id, weight)
        self.bulk.queue.set_weight(tenant_id, weight)

    def set_address(self, address: str) -> None:
        """Say under which address range descriptors name this node; before the first stream."""
        self.tenants.own_address = address
        for tenant in self.tenants.loaded():
            tenant.ranges.own_address = address
            tenant.ranges.look_again()

    def now_s(self) -> float:
        """Return wall time in seconds."""
        return self.clock.now_ns() / 1e9

    def _read_bill(self, prefix: bytes, month: str) -> float:
        return read_month(self.timeline.snapshot(), prefix, month) / MICRO

    def new_stream_id(self) -> int:
        """Return a number no other stream of this node has."""
        self._next_stream_id += 1
        return self._next_stream_id

    def load_tenant(self, tenant_id: int) -> Tenant:
        """Return a tenant. Raises: TenantUnknown."""
        return self.tenants.load(tenant_id)

    def close_streams(self, error: KvError) -> None:
        """End all streams with a fatal error."""
        for tenant in self.tenants.loaded():
            for close in list(tenant.close_streams.values()):
                close(error)

    async def write(
        self, tenant_id: int, work: Callable[[WriteTxn], None], *, commit_ts: int = 0
    ) -> None:
        """Run `work` in the writer thread and wait until it is durable. Raises: KvError."""
        done: asyncio.Future[None] = self.loop.create_future()

        def finish(error: KvError | None) -> None:
            if done.done():
                return  # whoever waited was cancelled
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.group.submit(SystemOperation(tenant_id, work, finish, commit_ts))
        await done

    def _on_durable(self, operations: Sequence[Operation]) -> None:
        newest = max((getattr(operation, "commit_ts", 0) for operation in operations), default=0)
        self.timeline.release_snapshot()
        self.timeline.advance(newest)


def _stored_ts(engine: Engine) -> int:
    snapshot = engine.snapshot()
    try:
        return read_u64(snapshot, NEWEST_TS)
    finally:
        snapshot.close()


def _unread_watch(
    config: NodeConfig, memory: NodeMemory, clock: Clock, loop: asyncio.AbstractEventLoop
) -> UnreadWatch:
    return UnreadWatch(
        memory.answers, clock.monotonic_s, loop.call_later, unread_s_max=config.unread_s_max
    )


def _write_gates(
    config: NodeConfig, scheduler: Scheduler, clock: Clock, loop: asyncio.AbstractEventLoop
) -> tuple[IoGate, WriteGate]:
    io = IoGate(
        clock.monotonic_s,
        loop.call_later,
        latency_max_s=config.commit_latency_max_s,
        is_enabled=config.admission,
    )
    bounds = WriteBounds(
        writes=config.write_waits_tenant_max,
        bytes=config.write_wait_bytes_tenant_max,
        wait_s=config.write_wait_s_max,
    )
    return io, WriteGate(io, scheduler, loop.call_later, bounds)
