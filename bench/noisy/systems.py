"""What is compared: Insula with admission control and without it, and PostgreSQL.

All run at once, idle but for the one that is being measured, so that ratios are of one run.

*Off* is one start-up switch, `[kvnode] admission = false`: no fair queue, no CPU, IO and write
tokens, no credit that shrinks, and nothing at the operating system either: no real-time, no nice
values by use, no CPU groups. *Alike* is off in the KV node only, at the OS priorities of admission
on: what admission control itself costs a lone tenant is told from what those give.
"""

import asyncio
import base64
import contextlib
import re
from collections.abc import Iterator, Set
from typing import Final, Protocol

import psycopg
from psycopg import sql

from bench.kv_client import Admin
from bench.noisy.node import NodeSpan, Stalls, node_span, private_bytes, read_stalls
from bench.noisy.watch import Watched
from bench.servers import Postgres, Stack, insula_stack, postgres_server
from cli.admin_client import AdminClient

ON: Final = "Insula"
OFF: Final = "Insula, admission off"
ALIKE: Final = "Insula, admission off, OS priorities on"
POSTGRES: Final = "PostgreSQL"
_IDLE_S: Final = 60.0
_CONNECTIONS_MAX: Final = 300  # of PostgreSQL: 50 quiet tenants have two each
_SETTINGS: Final[dict[str, dict[str, str]]] = {
    ON: {},
    OFF: {"INSULA_KVNODE__ADMISSION": "false"},
    ALIKE: {
        "INSULA_KVNODE__ADMISSION": "false",
        "INSULA_KVNODE__REALTIME": "true",
        "INSULA_GATEWAY__CPU_PRIORITY": "realtime",
    },
}
NAMES: Final = (ON, OFF, ALIKE, POSTGRES)


class System(Watched, Protocol):
    """A server with many tenants."""

    name: str

    def create(self, tenant: str, weight: float = 1) -> str:
        """Create a tenant, or a database, which has no weight; return its URL."""

    def metric(self, name: str) -> float | None:
        """Return a metric of the KV node; None if there is none."""

    def rest(self) -> None:
        """Leave no work for later, which would be in the next system's turn."""


class Insula:
    """A stack with or without admission control."""

    tells_latencies = True

    def __init__(self, name: str, stack: Stack) -> None:
        self.name = name
        self._stack = stack
        self._node_pid = stack.kvnode_pid()

    @property
    def kv_socket(self) -> str:
        """The KV node's Unix socket."""
        return str(self._stack.kv_socket)

    def create(self, tenant: str, weight: float = 1) -> str:
        url = self._stack.create_tenant(tenant)
        if weight != 1:
            self._weigh(tenant, weight)
        return url

    def create_raw(self, tenant: str, weight: float) -> str:
        """Create a tenant without SQL; return its credential in base64."""
        admin = Admin(self._stack.running.admin, str(self._stack.admin_token_file))
        credential = asyncio.run(admin.create(tenant))
        self._weigh(tenant, weight)
        return base64.b64encode(credential).decode()

    def _weigh(self, tenant: str, weight: float) -> None:
        client = AdminClient(self._stack.running)
        try:
            client.set(tenant, weight=weight)
        finally:
            client.close()

    def stalls(self) -> Stalls | None:
        return read_stalls(self._stack.http("/metrics"))

    def node_bytes(self) -> int:
        return private_bytes(self._node_pid)

    def node_span(self, before: Stalls, after: Stalls, *, peak_bytes: int) -> NodeSpan:
        bound = self.metric("insula_kvnode_memory_bytes_max")
        assert bound is not None, "the node tells its bound"
        return node_span(before, after, peak_bytes=peak_bytes, bound_bytes=int(bound))

    def metric(self, name: str) -> float | None:
        found = re.search(rf"^{name}(?:_total)? (\S+)$", self._stack.http("/metrics"), re.MULTILINE)
        return None if found is None else float(found[1])

    def rest(self) -> None:
        """Do nothing: what a large transaction leaves has been moved by now."""


class Databases:
    """PostgreSQL, a database for each tenant."""

    name = POSTGRES
    tells_latencies = False

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._created: list[str] = []

    def create(self, tenant: str, weight: float = 1) -> str:
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(tenant)))
        self._created.append(tenant)
        return self._postgres.url(tenant)

    def stalls(self) -> Stalls | None:
        return None

    def node_bytes(self) -> int:
        raise AssertionError("PostgreSQL has no KV node")

    def node_span(self, before: Stalls, after: Stalls, *, peak_bytes: int) -> NodeSpan:
        raise AssertionError("PostgreSQL has no KV node")

    def metric(self, name: str) -> float | None:
        return None

    def rest(self) -> None:
        """End autovacuum's work with the databases, and the next checkpoint's."""
        drop = sql.SQL("drop database {} with (force)")
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            while self._created:
                connection.execute(drop.format(sql.Identifier(self._created.pop())))
            connection.execute("checkpoint")


@contextlib.contextmanager
def running_systems(names: Set[str]) -> Iterator[list[System]]:
    """Run the named systems, as far as this machine has them, with their default settings."""
    with contextlib.ExitStack() as stack:
        systems: list[System] = []
        for name in sorted(names & _SETTINGS.keys()):
            started = stack.enter_context(insula_stack(idle_s=_IDLE_S, settings=_SETTINGS[name]))
            systems.append(Insula(name, started))
        if POSTGRES in names:
            postgres = stack.enter_context(postgres_server(_CONNECTIONS_MAX))
            if postgres is not None:
                systems.append(Databases(postgres))
        yield systems
