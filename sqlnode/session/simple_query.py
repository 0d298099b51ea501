"""The simple query protocol: a string of statements, run as one implicit transaction.

Source: PostgreSQL docs, "Multiple Statements in a Simple Query"; postgres.c (exec_simple_query).
"""

import asyncio
import re
from typing import Final

from pgwire.errors import UndefinedParameter
from pgwire.messages import EMPTY_QUERY_RESPONSE, command_complete
from pgwire.sql_error import SqlError
from sqlnode.planner import Plan, PlanKind, literal_params
from sqlnode.session.as_of import enter_past
from sqlnode.session.describe import plan_description
from sqlnode.session.run_plan import require_allowed, run_plan
from sqlnode.session.schema_follow import newest_plan
from sqlnode.session.session import Session
from sqlnode.session.statement_runner import commit, run_statement
from sqlnode.session.transaction_block import BlockState
from sqlnode.statements import Statement

TURN_S: Final = 0.005  # a session with much to do lets others run so often


async def simple_query(session: Session, sql: str) -> None:
    """Run a query string. Raises: SqlError, KvError."""
    session.statements.pop("", None)
    await session.close_portal("")
    statements = session.engine.read(sql)
    if not statements:
        session.out.add(EMPTY_QUERY_RESPONSE)
    is_alone = len(statements) == 1
    loop = asyncio.get_running_loop()
    turn_end_s = loop.time() + TURN_S
    for statement in statements:
        if loop.time() > turn_end_s:
            await asyncio.sleep(0)  # other sessions, cancel requests and timeouts have their turn
            turn_end_s = loop.time() + TURN_S
        try:
            await _run(session, statement, is_alone=is_alone)
        except SqlError as error:
            if error.position is not None and statement.offset:
                error.position += statement.offset
            raise
    if session.block.state is BlockState.IMPLICIT:
        await commit(session)


def _no_parameter(plan: Plan) -> UndefinedParameter:
    found = re.search(r"\$\d+", plan.text)
    assert found is not None, "a statement with parameters names one"
    return UndefinedParameter(f"there is no parameter {found[0]}", position=found.start() + 1)


async def _run(session: Session, statement: Statement, *, is_alone: bool) -> None:
    require_allowed(session, statement)
    if session.pace.throttle.is_on:
        await session.pace.begin(statement)
    block, out = session.block, session.out
    is_whole = is_alone and block.state is BlockState.IDLE and not statement.is_transactional

    plan: Plan | None = None

    async def attempt() -> str:
        nonlocal plan
        if statement.as_of is not None:
            await enter_past(session, statement.as_of)
        plan = await newest_plan(session, statement)
        if plan.param_types:
            raise _no_parameter(plan)
        params = literal_params(statement, plan, session.env())
        if plan.returns_rows and plan.kind is not PlanKind.UTILITY:
            out.add(plan_description(plan, ()))
        return await run_plan(session, plan, params, (), is_whole=is_whole, is_simple=True)

    clock = session.engine.clock
    started_s = clock.monotonic_s()
    try:
        tag = await run_statement(
            session, attempt, is_whole=is_whole, can_retry=statement.can_retry
        )
    except BaseException:
        session.account.failed(statement, plan)
        raise
    if plan is not None:
        session.account.succeeded(statement, plan, tag, clock.monotonic_s() - started_s)
    if tag:
        out.add(command_complete(tag))
    if not is_whole and out.is_large:
        await out.relieve()
