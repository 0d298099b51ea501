"""Runs plans through vecexec in tests."""

import asyncio

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.codecs.settings import DEFAULT_SETTINGS
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.plan.logical import OutColumn, Project, SingleRow, Values
from sqlnode.plan.scalar import Const
from sqlnode.plan.statement import Query
from sqlnode.vecexec.query import compile_query


def context(params=(), txn=None, catalog=None):
    """Return a context without a store behind it."""
    session = SessionInfo("u", "u", "d", "t", 1, ("public",), {})
    return ExecContext(
        txn, catalog, list(params), DEFAULT_SETTINGS, session, None, 0, 0,
        lambda: 0, lambda: 0.5, lambda severity, message: None,
    )  # fmt: skip


async def collect(plan, columns=None, ctx=None, source=None):
    """Return all rows of a plan."""
    query = compile_query(Query(plan, columns or plan.columns), source=source)
    rows = []
    async for batch in query.run(ctx or context()):
        rows += batch
    return rows


def run(plan, columns=None, ctx=None, source=None):
    """Return all rows of a plan, from a test that is not a coroutine."""
    return asyncio.run(collect(plan, columns, ctx, source))


def values(types, rows, first_id=1):
    """Return a Values plan of constants."""
    columns = tuple(OutColumn(first_id + i, f"v{i}", t) for i, t in enumerate(types))
    constants = tuple(
        tuple(Const(datum, t) for datum, t in zip(row, types, strict=True)) for row in rows
    )
    return Values(constants, columns)


def project(plan, *scalars):
    """Return a projection with ids from 1000 on."""
    columns = tuple(OutColumn(1000 + i, f"p{i}", s.type) for i, s in enumerate(scalars))
    return Project(plan or SingleRow(), columns, tuple(scalars))
