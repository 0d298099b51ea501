"""Running one plan inside the running transaction, its rows going to the client."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from pgwire.errors import InFailedSqlTransaction, ReadOnlySqlTransaction
from sqlnode.context import ExecContext
from sqlnode.planner import Plan, PlanKind
from sqlnode.session.commands import run_utility, utility_rows
from sqlnode.session.portal import Portal, RowSource
from sqlnode.session.session import Session
from sqlnode.session.transaction_block import BlockState
from sqlnode.statements import Statement


def require_allowed(session: Session, statement: Statement) -> None:
    """Raise InFailedSqlTransaction unless a failed block accepts the statement."""
    if session.block.state is BlockState.FAILED and not statement.ends_failed_block:
        raise InFailedSqlTransaction(
            "current transaction is aborted, commands ignored until end of transaction block"
        )


async def run_plan(
    session: Session,
    plan: Plan,
    params: Sequence[Any],
    formats: Sequence[int],
    *,
    is_whole: bool,
    is_simple: bool = False,
) -> str:
    """Run a plan to its end; return the command tag. Raises: SqlError, KvError."""
    block = session.block
    if plan.kind is PlanKind.UTILITY:
        return await run_utility(session, plan, formats, is_simple=is_simple)
    txn = block.begin_work(read_only=is_whole and plan.is_read_only)
    if block.is_read_only and not plan.is_read_only:
        _refuse_write(plan)
    txn.statement = plan.text
    txn.used.add(plan.relations)
    if plan.kind is PlanKind.QUERY:
        return await _run_query(session, plan, params, formats)
    context = session.context(params, commit_follows=is_whole)
    row_count, rows = await plan.executable.run(context)
    if plan.columns:
        encode = session.encoder(plan, formats)
        for start in range(0, len(rows), 1000):
            session.out.add(encode(rows[start : start + 1000]))
            if not is_whole:
                await session.out.relieve()
    return f"{plan.tag} {row_count}"


async def _run_query(
    session: Session, plan: Plan, params: Sequence[Any], formats: Sequence[int]
) -> str:
    encode = session.encoder(plan, formats)
    context = session.context(params)
    out = session.out
    row_count = 0
    async with aclosing(plan.executable.run(context)) as batches:
        async for rows in batches:
            row_count += len(rows)
            out.add(encode(rows))
            await out.relieve()
            if session.pace.throttle.is_on:
                await session.pace.go_on()
    return f"SELECT {row_count}"


def _refuse_write(plan: Plan) -> None:
    word = plan.tag.split(maxsplit=1)[0]
    if word == "SELECT":
        word = "SELECT FOR UPDATE"
    raise ReadOnlySqlTransaction(f"cannot execute {word} in a read-only transaction")


async def take_rows(session: Session, portal: Portal, wanted: int = 1) -> None:
    """Start a portal whose rows are taken in pieces, at first `wanted`. Raises: SqlError, KvError.

    Errors of its first rows belong to the start, and a conflict is cured there. But with READ
    COMMITTED, which has none, DECLARE locks nothing.
    """
    plan = portal.prepared.plan
    txn = session.block.begin_work()
    if session.block.is_read_only and not plan.is_read_only:
        _refuse_write(plan)
    txn.statement = plan.text
    txn.used.add(plan.relations)
    if plan.kind is PlanKind.QUERY:
        context = session.context(portal.params)
        source = RowSource(_as_of_now(plan, context), context)
        is_lazy = portal.is_cursor and not plan.is_read_only and txn.isolation == "read committed"
        try:
            await anext(source.batches)
            if (is_lazy or await source.has_more(wanted)) and plan.relations:
                await context.txn.fix_snapshot()
        except BaseException:
            await source.close()  # the next attempt may come at once
            raise
        portal.rows, portal.read_ts = source, context.txn.read_ts
        return
    if plan.kind is PlanKind.UTILITY:
        rows = await utility_rows(session, portal.prepared.statement.command)
        portal.tag = plan.tag
    else:
        row_count, rows = await plan.executable.run(session.context(portal.params))
        portal.tag = f"{plan.tag} {row_count}"
    portal.rows = RowSource(_one_batch(rows))


async def _as_of_now(plan: Plan, context: ExecContext) -> AsyncIterator[Sequence[Any]]:
    """Run a query as of the running statement, whatever comes before its last row is taken.

    Its first batch comes before anything is read.
    Source: PostgreSQL docs, "DECLARE": cursors are insensitive.
    """
    with context.txn.as_now() as context.txn:
        yield ()
        async with aclosing(plan.executable.run(context)) as batches:
            async for rows in batches:
                yield rows


async def _one_batch(rows: Sequence[Any]) -> AsyncIterator[Sequence[Any]]:
    yield rows


def portal_tag(portal: Portal, sent: int) -> str:
    """Return the tag of a portal that has run out of rows."""
    return portal.tag or f"SELECT {sent}"
