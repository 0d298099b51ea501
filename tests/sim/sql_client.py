"""Clients of simulated SQL processes: real sessions, whose SQL arrives without a socket."""

import asyncio
from contextvars import ContextVar
from typing import ClassVar

from kvapi.errors import KvError
from pgwire.connection import ServerConnection
from pgwire.sql_error import SqlError
from runtime.control_wire import SessionHello
from sqlnode.session.client_link import ClientLink
from sqlnode.session.session import Session
from sqlnode.session.simple_query import simple_query
from sqlnode.session.statement_runner import rollback
from sqlnode.session.transaction_block import BlockState
from tests.sim.sim_client import SimKvClient, SimProcess, sql_name

_COMMITTED: ContextVar[list] = ContextVar("committed")


class WatchedKvClient(SimKvClient):
    """Notes for whom a transaction was committed when."""

    async def commit(self, **fields):
        commit_ts = await super().commit(**fields)
        if (committed := _COMMITTED.get(None)) is not None:
            committed.append(commit_ts)
        return commit_ts


class SqlProcess(SimProcess):
    """A SQL process for `SqlClient`s; it stages what is more than a few rows."""

    client_type = WatchedKvClient
    engine_options: ClassVar = {"stage_bytes": 200}


class SqlClient:
    """One client's session. `order`: when its last transaction was committed."""

    def __init__(self, process, number, **parameters):
        connection = ServerConnection()
        hello = SessionHello(number, "owner", "defaultdb", "acme", number, 1, parameters, "unix")
        self.session = Session(process.engine, hello, connection, ClientLink(connection))
        self.session.guard.attach()
        self.order = 0

    async def run(self, sql):
        """Run a query string; return "" or the SQLSTATE of its error."""
        session, committed = self.session, []
        session.guard.attach()
        _COMMITTED.set(committed)
        try:
            await simple_query(session, sql)
        except (SqlError, KvError) as error:
            if session.block.state is BlockState.OPEN:
                await session.block.fail()
            elif session.block.state is BlockState.IMPLICIT:
                await rollback(session)
            return sql_name(error)
        finally:
            session.out.flush()
        if committed:
            self.order = committed[-1]
        return ""

    async def run_all(self, sqls):
        """Run statements one by one; after the first error take all of them back. As `run`."""
        self.order = 0
        for sql in sqls:
            if error := await self.run(sql):
                if self.session.block.is_block:
                    await self.run("rollback")
                return error
            await asyncio.sleep(0)
        return ""

    async def rows(self, sql):
        """Return a query's rows. Requires: no constants in it."""
        session = self.session
        (statement,) = session.engine.read(sql)
        session.block.begin_work(read_only=True)
        plan = session.engine.plan(statement, session.env())
        found = [row async for rows in plan.executable.run(session.context(())) for row in rows]
        await rollback(session)
        return found
