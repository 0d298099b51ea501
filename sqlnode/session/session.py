"""One session: everything that outlives a statement.

**Concurrency.** Belongs to the task that serves it (serve.py). From outside it is only cancelled or
asked to end.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from pgwire.codecs.rows import TEXT_FORMAT, resolve_formats
from pgwire.connection import ServerConnection
from pgwire.errors import ConfigurationLimitExceeded, InvalidCatalogName
from runtime.control_wire import SessionHello
from sqlnode.advisory_locks import SessionAdvisoryLocks
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.virtual import SYSTEM_SCHEMAS
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.engine import Engine
from sqlnode.plan_cache import PlanEnv
from sqlnode.planner import Plan
from sqlnode.sequences import SessionSequences
from sqlnode.session.account import Account
from sqlnode.session.activity import activity_of
from sqlnode.session.client_link import ClientLink
from sqlnode.session.encoders import Encoders
from sqlnode.session.output import Output
from sqlnode.session.pace import SessionPace
from sqlnode.session.parameters import Parameters
from sqlnode.session.portal import Portal, PreparedStatement
from sqlnode.session.reg_output import with_names
from sqlnode.session.statement_guard import StatementGuard
from sqlnode.session.transaction_block import TransactionBlock
from sqlnode.txn import Isolation, Transaction

STATEMENTS_MAX: Final = 20_000  # 4 KiB each or more
PORTALS_MAX: Final = 1_000


class Session:
    """State of one client session."""

    def __init__(
        self, engine: Engine, hello: SessionHello, connection: ServerConnection, link: ClientLink
    ) -> None:
        """Begin a session. Raises: SqlError for start-up parameters that cannot be."""
        self.engine = engine
        self.hello = hello
        self.connection = connection
        self.link = link
        self.out = Output(link)
        self.loop = asyncio.get_running_loop()
        self.guard = StatementGuard(self.loop)
        self.pace = SessionPace(self, engine.throttle)
        self.parameters = Parameters(_fixed(engine, hello), hello.parameters)
        self.block = TransactionBlock(
            self.parameters, self._begin, lambda: engine.catalog, engine.catalog_use.settle
        )
        engine.catalog_use.add(self.block)
        self.sequences = SessionSequences(engine.counters, lambda: self.block.catalog)
        self.advisory = SessionAdvisoryLocks(engine.kv, engine.new_id(), _lock_session(hello))
        self.statements: dict[str, PreparedStatement] = {}
        self.portals: dict[str, Portal] = {}
        self.is_whole = False  # the running statement is a transaction of its own
        self.encoders = Encoders()
        self.info = SessionInfo(
            user=hello.user,
            session_user=hello.user,
            database=hello.database,
            tenant=hello.tenant_name,
            backend_pid=hello.backend_pid,
            search_path=(),
            variables=self.parameters.variables,
            client_address=hello.peer.rpartition(":")[0] or None,
        )
        self.info.set_config = self._set_config
        self.info.activity = lambda: activity_of(engine.sessions)
        self.started_micros = engine.now_micros()
        self.info.statements = engine.stats
        self.txn_start_micros = 0
        self.work_mem_bytes = 0
        self.statement_timeout_ms = 0
        self.parameters_reported: dict[str, str] = {}  # what the client was told
        self.reported_version = self.parameters.reported_version
        self._values: dict[str, str] | None = None
        self._env: PlanEnv | None = None
        self.parameters_changed()
        self.meter = engine.meter.part()  # last: closed only if the session began
        self.account = Account(self.meter, engine.stats, engine.cpu, self.out)

    # parameters

    def parameters_changed(self) -> None:
        """Bring along what is derived from parameters. Cheap when nothing changed."""
        values = self.parameters.values
        if values is self._values:
            return
        self._values = values
        self.info.application_name = values["application_name"]
        self.out.set_client_min_messages(values["client_min_messages"])
        self.statement_timeout_ms = int(values["statement_timeout"])
        self.work_mem_bytes = max(int(values["work_mem"]) << 10, 64 << 20)
        self.encoders.use(self.parameters.settings)
        self._env = None

    def _search_path(self, catalog: Catalog) -> tuple[str, ...]:
        """Return the schemas of the search path that exist, "$user" resolved."""
        names = [
            self.info.user if name == "$user" else name for name in self.parameters.search_path
        ]
        known = {*catalog.schemas, *SYSTEM_SCHEMAS}
        return tuple(name for name in names if name in known)

    def _set_config(self, name: str, value: str | None, is_local: bool) -> str:
        self.block.protect_parameters()
        if value is None:
            self.parameters.reset(name, is_local=is_local)
        else:
            self.parameters.set(name, value, is_local=is_local)
        self.parameters_changed()
        return self.parameters.show(name)

    # planning and execution

    def env(self) -> PlanEnv:
        """Return what planning depends on now."""
        catalog = self.block.catalog
        if self._env is None or self._env.catalog is not catalog:
            self.info.search_path = self._search_path(catalog)
            self._env = PlanEnv(
                catalog,
                self.info.search_path,
                self.parameters.settings,
                is_shared=not self.block.is_catalog_edited,
            )
        return self._env

    def now_micros(self) -> int:
        """Return µs since 2000."""
        return self.engine.now_micros()

    def context(self, params: Sequence[Any], *, commit_follows: bool = False) -> ExecContext:
        """Return the surroundings of one statement in the running transaction."""
        block = self.block
        assert block.txn is not None, "statements run in transactions"
        now = self.engine.now_micros()
        if not block.statement_count or not self.txn_start_micros:
            self.begin_clock(now)
        return ExecContext(
            txn=block.txn,
            catalog=block.catalog,
            params=params,
            settings=self.parameters.settings,
            session=self.info,
            sequences=self.sequences,
            txn_start_micros=self.txn_start_micros,
            statement_micros=now,
            clock_micros=self.engine.now_micros,
            random=self.engine.random,
            notice=self.out.notice,
            cancelled=lambda: self.guard.is_cancelled,
            work_mem_bytes=self.work_mem_bytes,
            commit_follows=commit_follows,
            advisory=self.advisory,
        )

    def _begin(self, isolation: Isolation, read_only: bool, past_ts: int = 0) -> Transaction:
        txn = self.engine.begin(isolation, read_only, past_ts)
        txn.locks.session = _lock_session(self.hello)
        txn.pace = self.pace
        return txn

    def begin_clock(self, now: int) -> None:
        """Fix now() for a transaction."""
        self.txn_start_micros = now
        # Takes no part in the settings' equality; a copy for each transaction would cost more.
        object.__setattr__(self.parameters.settings, "now_micros", now)

    def encoder(self, plan: Plan, formats: Sequence[int]) -> Callable[[Sequence[Any]], bytes]:
        """Return the function from rows to DataRow messages."""
        encode = self.encoders.rows(plan.column_oids, tuple(formats))
        if not plan.reg_columns:
            return encode
        codes = resolve_formats(formats, len(plan.columns))
        shown = [column for column in plan.reg_columns if codes[column[0]] == TEXT_FORMAT]
        return lambda rows: encode(self.with_names(rows, shown))

    def with_names(self, rows: Sequence[Any], columns: Sequence[tuple[int, int]]) -> Sequence[Any]:
        """Return rows with names instead of the numbers of reg* types."""
        return with_names(rows, columns, self.block.catalog, self.info.search_path)

    def held_snapshot(self) -> tuple[bytes, int] | None:
        """Return the transaction's id and the oldest snapshot that it still needs."""
        txn = self.block.txn
        if txn is None or txn.is_finished:
            return None
        open_ts = [p.read_ts for p in self.portals.values() if p.rows is not None and p.read_ts]
        read_ts = min(filter(None, (*open_ts, txn.oldest_ts)), default=0)
        return (txn.txn_id, read_ts) if read_ts else None

    # bounds

    def add_statement(self, name: str, statement: PreparedStatement) -> None:
        """Keep a prepared statement. Raises: ConfigurationLimitExceeded."""
        if name not in self.statements and len(self.statements) >= STATEMENTS_MAX:
            raise ConfigurationLimitExceeded(f"more than {STATEMENTS_MAX} prepared statements")
        self.statements[name] = statement

    def add_portal(self, portal: Portal) -> None:
        """Keep a portal. Raises: ConfigurationLimitExceeded."""
        if len(self.portals) >= PORTALS_MAX:
            raise ConfigurationLimitExceeded(f"more than {PORTALS_MAX} open portals")
        self.portals[portal.name] = portal

    async def close_portal(self, name: str) -> None:
        """Close a portal, if there is one."""
        portal = self.portals.pop(name, None)
        if portal is not None:
            await portal.close()

    async def close_portals(self, kept: Sequence[Portal] = ()) -> None:
        """Close all portals but `kept`: their transaction, or part of it, has ended."""
        for portal in [portal for portal in self.portals.values() if portal not in kept]:
            await self.close_portal(portal.name)


def _lock_session(hello: SessionHello) -> bytes:
    """Return what the KV node calls this session: deadlock reports show it as the process id."""
    return hello.backend_pid.to_bytes(4, "big")


def _fixed(engine: Engine, hello: SessionHello) -> dict[str, str]:
    catalog: Catalog = engine.catalog
    if hello.database not in catalog.databases:
        raise InvalidCatalogName(f'database "{hello.database}" does not exist')
    is_superuser = any(r.superuser for r in catalog.roles if r.name == hello.user)
    return {
        "session_authorization": hello.user,
        "is_superuser": "on" if is_superuser else "off",
        "default_transaction_isolation": "serializable",
    }
