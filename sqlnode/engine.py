"""The SQL engine of one process: its tenant's catalog, plans and counters, shared by all sessions.

**Model.** The catalog is one immutable snapshot. Every frame from the KV node carries the newest
catalog version; when it moves, the snapshot is loaded anew before the next statement, and plans of
the old one are forgotten with it.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import sqlnode.catalog.system.all  # noqa: F401 - the system relations register themselves
from admission.cost_model import Usage
from kvapi.client.kv_client import KvClient
from kvapi.client.meter import current_meter
from kvapi.client.token_calls import TokenCalls
from kvapi.errors import KvError
from runtime.clock import Clock, CpuClock, SystemClock, SystemCpuClock
from runtime.tasks import spawn
from sqlnode.catalog.past import PastCatalogs
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import id_allocator, load_catalog
from sqlnode.catalog_use import CatalogUse
from sqlnode.garbage import GarbageCollector
from sqlnode.jobs.handle import JobConfig
from sqlnode.jobs.older_versions import OlderVersions
from sqlnode.jobs.runner import JobRunner
from sqlnode.own_writes import STAGE_BYTES
from sqlnode.plan_cache import LruCache, PlanEnv
from sqlnode.planner import Plan, make_plan
from sqlnode.ru_meter import RuMeter
from sqlnode.sequences import CounterCache
from sqlnode.snapshot_keeper import PROTECT_AFTER_S, SnapshotKeeper
from sqlnode.statement_cpu import StatementCpu
from sqlnode.statement_stats import StatementStats
from sqlnode.statements import Statement, read_statements
from sqlnode.throttle import Throttle
from sqlnode.txn import TXN_ID_BYTES, Isolation, Transaction
from sqlnode.usage_reporter import PERIOD_S, REPORTER_BYTES, UsageReporter

if TYPE_CHECKING:
    from sqlnode.session.activity import Observed

_log = logging.getLogger(__name__)
_EPOCH_MICROS: Final = 946_684_800_000_000


class Engine:
    """Everything sessions share. Belongs to the process's loop."""

    def __init__(  # noqa: PLR0913  what a process has one of
        self,
        kv: KvClient,
        catalog: Catalog,
        clock: Clock,
        *,
        stage_bytes: int = STAGE_BYTES,
        protect_after_s: float = PROTECT_AFTER_S,
        random_bytes: Callable[[int], bytes] = os.urandom,
        rng: random.Random | None = None,
        cpu_clock: CpuClock = SystemCpuClock,
        usage_period_s: float = PERIOD_S,
    ) -> None:
        self.kv = kv
        self.catalog = catalog
        self.clock = clock
        self.meter = RuMeter()  # what the tenant pays for: each session has a part of it
        self.background = RuMeter()  # what Insula does for itself: free
        self.cpu = StatementCpu(cpu_clock.process_s)
        self.stats = StatementStats()
        self.counters = CounterCache(kv)
        self.allocate_id = id_allocator(kv)
        self.past = PastCatalogs(kv, lambda: self.catalog, self.reload)
        self.plans: LruCache[Plan] = LruCache()
        self.older = OlderVersions(kv)
        self.garbage = GarbageCollector(kv)
        self.keeper = SnapshotKeeper(kv, after_s=protect_after_s)
        self._stage_bytes = stage_bytes
        self.random_bytes = random_bytes
        self._rng = rng or random.SystemRandom()
        self.random = self._rng.random
        self.sessions: set[Observed] = set()  # in this process
        self.throttle = _throttle(kv, self.meter, random_bytes)
        self._reloading: asyncio.Task[Any] | None = None
        self.jobs = JobRunner(
            self, owner=f"{os.getpid()}-{random_bytes(4).hex()}", config=JobConfig()
        )
        self.usage = UsageReporter(
            kv,
            self.stats,
            meter=self.meter,
            background=self.background_usage,
            reporter=random_bytes(REPORTER_BYTES),
            token_client_id=lambda: self.throttle.asked_as,
            period_s=usage_period_s,
        )
        self.catalog_use = CatalogUse(
            kv, current=lambda: self.catalog.version, reload=lambda: self.reload()
        )

    def background_usage(self) -> Usage:
        """Return what this process used for itself, and nobody pays for."""
        self.background.sql_cpu_s = self.cpu.own_s
        return self.background.usage()

    # time and transactions

    def now_micros(self) -> int:
        """Return µs since 2000."""
        return self.clock.now_ns() // 1_000 - _EPOCH_MICROS

    def new_id(self) -> bytes:
        """Return an id for a transaction, or for what owns locks like one."""
        return self.random_bytes(TXN_ID_BYTES)

    def begin(self, isolation: Isolation, read_only: bool, past_ts: int = 0) -> Transaction:
        """Begin a transaction on the current catalog, or one that reads as of `past_ts`."""
        if not self.keeper.is_awake:
            self.keeper.wake()
        return Transaction(
            self.kv,
            txn_id=self.new_id(),
            catalog_version=0 if past_ts else self.catalog.version,
            isolation=isolation,
            read_only=read_only,
            read_ts=past_ts,
            stage_bytes=self._stage_bytes,
        )

    # catalog

    @property
    def is_catalog_stale(self) -> bool:
        """True if the KV node has told of a newer catalog."""
        return self.kv.catalog_version != self.catalog.version

    async def reload(self) -> None:
        """Load the newest catalog; sessions that ask meanwhile wait for the same load."""
        if self._reloading is None:
            self._reloading = spawn(self._reload(), name="catalog-reload")
            self._reloading.add_done_callback(self._reloaded)
        failure = await asyncio.shield(self._reloading)
        if failure is not None:
            raise failure

    def _reloaded(self, _task: "asyncio.Task[Any]") -> None:
        self._reloading = None

    async def _reload(self) -> KvError | None:
        try:
            self.catalog = await load_catalog(self.kv)
        except KvError as error:  # for whoever waits; nobody may, at the end of the process
            return error
        self.plans.clear()
        self.catalog_use.loaded(self.catalog)
        return None

    # plans

    def read(self, text: str, *, is_extended: bool = False) -> list[Statement]:
        """Split a query string and check the grammar of what is new in it. Raises: SqlError."""
        return read_statements(text, is_extended=is_extended)

    def plan(self, statement: Statement, env: PlanEnv, declared: tuple[int, ...] = ()) -> Plan:
        """Return the plan of a statement. Raises: SqlError."""
        if not env.is_shared or not statement.is_cacheable:
            return make_plan(statement, env, declared)
        key = (statement.cache_key, declared, env.key)
        plan = self.plans.get(key)
        if plan is None:
            plan = make_plan(statement, env, declared)
            self.plans.put(key, plan)
        return plan

    async def close(self) -> None:
        """Stop what runs in the background."""
        self.keeper.close()
        await self.jobs.stop()
        await self.catalog_use.close()
        await self.garbage.close()
        await asyncio.gather(self.throttle.end(), self.usage.close())


def _throttle(kv: KvClient, meter: RuMeter, random_bytes: Callable[[int], bytes]) -> Throttle:
    """Return what holds statements back, listening for the tenant's limits."""
    throttle = Throttle(
        meter,
        TokenCalls(kv.stream).tokens,
        client_id=int.from_bytes(random_bytes(7), "big"),
        loop=asyncio.get_running_loop(),
    )
    kv.stream.on_limits = throttle.set_limits
    if kv.stream.limits is not None:
        throttle.set_limits(kv.stream.limits)
    return throttle


async def open_engine(
    kv: KvClient,
    *,
    tenant_id: int = 0,
    tenant_name: str = "",
    clock: Clock | None = None,
    stage_bytes: int = STAGE_BYTES,
    protect_after_s: float = PROTECT_AFTER_S,
    usage_period_s: float = PERIOD_S,
) -> Engine:
    """Load the tenant's catalog and return its engine. Raises: KvError, SqlError."""
    background = RuMeter()
    current_meter.set(background)  # until a session says that it pays
    catalog = await load_catalog(kv)
    engine = Engine(
        kv,
        catalog,
        clock or SystemClock(),
        stage_bytes=stage_bytes,
        protect_after_s=protect_after_s,
        usage_period_s=usage_period_s,
    )
    engine.background = background
    engine.garbage.start()
    engine.jobs.start()
    engine.usage.start()
    _log.debug("engine_opened", extra={"tenant_id": tenant_id, "tenant": tenant_name})
    return engine
