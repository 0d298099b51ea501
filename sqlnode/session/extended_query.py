"""The extended query protocol: Parse, Bind, Describe, Execute, Close, Sync.

**Model.** Answers are collected and leave with Sync or Flush. An Execute that Sync follows at once,
outside a block, is a whole transaction: it commits before it says CommandComplete, and it may be
run again unseen if it meets a conflict.

Source: PostgreSQL docs, "Extended Query"; src/backend/tcop/postgres.c (exec_parse_message and kin).
"""

from collections.abc import Sequence
from typing import Any, Final

from pgwire import frames
from pgwire.codecs.rows import TEXT_FORMAT, decode_param
from pgwire.codecs.scalars import decode_utf8
from pgwire.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    FeatureNotSupported,
    InvalidCursorName,
    InvalidSqlStatementName,
    ObjectNotInPrerequisiteState,
    ProtocolViolation,
    SqlSyntaxError,
)
from pgwire.messages import (
    BIND_COMPLETE,
    CLOSE_COMPLETE,
    EMPTY_QUERY_RESPONSE,
    NO_DATA,
    PARSE_COMPLETE,
    PORTAL_SUSPENDED,
    command_complete,
    parameter_description,
    row_description,
)
from pgwire.sql_error import SqlError
from sqlnode.catalog.reg_names import REG_OIDS
from sqlnode.parse import utility as u
from sqlnode.plan.literals import literal_datum
from sqlnode.plan.logical import Columns
from sqlnode.plan.statement import Utility
from sqlnode.planner import Plan, PlanKind
from sqlnode.session.as_of import enter_past, planning
from sqlnode.session.describe import described_columns, plan_description
from sqlnode.session.portal import Portal, PreparedStatement
from sqlnode.session.run_plan import portal_tag, require_allowed, run_plan, take_rows
from sqlnode.session.schema_follow import newest_plan
from sqlnode.session.session import Session
from sqlnode.session.statement_runner import run_statement
from sqlnode.session.transaction_block import BlockState
from sqlnode.statements import EMPTY_STATEMENT
from sqlnode.types import SqlType

_PIECE: Final = 1000  # rows taken at once where the client wants all


async def parse(session: Session, frame: frames.Parse) -> None:
    """Parse. Raises: SqlError."""
    if frame.name and frame.name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{frame.name}" already exists')
    if not frame.name:
        session.statements.pop("", None)
    prepared = await prepare(session, frame.name, frame.sql, frame.param_oids)
    session.add_statement(frame.name, prepared)
    session.out.add(PARSE_COMPLETE)


async def prepare(
    session: Session, name: str, sql: str, declared: tuple[int, ...]
) -> PreparedStatement:
    """Make a prepared statement of one statement. Raises: SqlError."""
    statements = session.engine.read(sql, is_extended=True)
    if len(statements) > 1:
        raise SqlSyntaxError("cannot insert multiple commands into a prepared statement")
    statement = statements[0] if statements else EMPTY_STATEMENT
    require_allowed(session, statement)
    if statement.as_of is None:
        if session.block.txn is None and session.engine.is_catalog_stale:
            await session.engine.reload()
        plan = await newest_plan(session, statement, declared)
        env = session.env()
    else:
        with await planning(session, statement.as_of):
            env = session.env()
            plan = session.engine.plan(statement, env, declared)
    return PreparedStatement(
        name, statement, declared, plan, env, prepared_micros=session.now_micros()
    )


def bind(session: Session, frame: frames.Bind) -> None:
    """Bind. Raises: SqlError."""
    prepared = find_statement(session, frame.statement)
    require_allowed(session, prepared.statement)
    refresh(session, prepared)
    types = prepared.plan.param_types
    if len(frame.values) != len(types):
        raise ProtocolViolation(
            f"bind message supplies {len(frame.values)} parameters, but prepared statement "
            f'"{frame.statement}" requires {len(types)}'
        )
    if frame.portal and frame.portal in session.portals:
        raise DuplicateCursor(f'cursor "{frame.portal}" already exists')
    params = _params(session, frame, prepared)
    columns = output_columns(session, prepared.plan)
    if len(frame.result_formats) > 1 and len(frame.result_formats) != len(columns):
        raise ProtocolViolation(
            f"bind message has {len(frame.result_formats)} result formats but query has "
            f"{len(columns)} columns"
        )
    portal = Portal(frame.portal, prepared, params, frame.result_formats, prepared.statement.text)
    session.portals.pop(frame.portal, None)
    session.add_portal(portal)
    session.out.add(BIND_COMPLETE)


def _params(session: Session, frame: frames.Bind, prepared: PreparedStatement) -> Sequence[Any]:
    settings = session.parameters.settings
    params = []
    for index, (sql_type, data) in enumerate(
        zip(prepared.plan.param_types, frame.values, strict=True)
    ):
        try:
            code = frame.param_format(index)
            if sql_type.oid in REG_OIDS and code == TEXT_FORMAT and data is not None:
                params.append(_named(session, sql_type, data))
            else:
                params.append(decode_param(sql_type.oid, code, data, settings))
        except SqlError as error:
            if error.context is None:
                name = f'portal "{frame.portal}"' if frame.portal else "unnamed portal"
                error.context = f"{name} parameter ${index + 1}"
            raise
    return params


def _named(session: Session, sql_type: SqlType, data: bytes) -> Any:
    """Return the OID that the text of a regclass, regtype … parameter names."""
    path = session.info.search_path
    settings = session.parameters.settings
    return literal_datum(decode_utf8(data), sql_type, settings, session.block.catalog, path)


def find_statement(session: Session, name: str) -> PreparedStatement:
    """Return a prepared statement. Raises: InvalidSqlStatementName."""
    prepared = session.statements.get(name)
    if prepared is None:
        shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
        raise InvalidSqlStatementName(f"{shown} does not exist")
    return prepared


def refresh(session: Session, prepared: PreparedStatement) -> None:
    """Plan again if the catalog or the session's settings have moved on. Raises: SqlError."""
    if prepared.statement.as_of is not None and session.block.past is None:
        return  # which catalog it is planned against is known when it runs
    env = session.env()
    if prepared.env is env:
        return
    plan = session.engine.plan(prepared.statement, env, prepared.declared)
    old = prepared.plan
    if plan.column_oids != old.column_oids or len(plan.columns) != len(old.columns):
        raise FeatureNotSupported("cached plan must not change result type")
    prepared.plan, prepared.env = plan, env


def describe(session: Session, frame: frames.Describe) -> None:
    """Describe. Raises: SqlError."""
    if frame.kind == "S":
        prepared = find_statement(session, frame.name)
        require_allowed(session, prepared.statement)
        refresh(session, prepared)
        plan = prepared.plan
        session.out.add(parameter_description([t.oid for t in plan.param_types]))
        formats: tuple[int, ...] = ()
    else:
        portal = find_portal(session, frame.name)
        require_allowed(session, portal.prepared.statement)
        plan, formats = portal.prepared.plan, portal.formats
    columns = output_columns(session, plan)
    if columns is plan.columns and columns:
        session.out.add(plan_description(plan, formats))
    elif columns or plan.returns_rows:
        session.out.add(row_description(described_columns(columns, formats)))
    else:
        session.out.add(NO_DATA)


def output_columns(session: Session, plan: Plan) -> Columns:
    """Return a plan's columns; FETCH and EXECUTE have those of what they name."""
    node = plan.bound.node if isinstance(plan.bound, Utility) else None
    match node:
        case u.FetchCursor(is_move=False):
            cursor = session.portals.get(node.name)
            return () if cursor is None else cursor.prepared.plan.columns
        case u.Execute():
            prepared = session.statements.get(node.name)
            return () if prepared is None else prepared.plan.columns
    return plan.columns


def is_copy_in(session: Session, frame: frames.Execute) -> bool:
    """Tell whether Execute will begin a COPY FROM: then the next Sync is not its end."""
    portal = session.portals.get(frame.portal)
    command = None if portal is None else portal.prepared.statement.command
    return isinstance(command, u.Copy) and command.is_from


def find_portal(session: Session, name: str) -> Portal:
    """Return a portal. Raises: InvalidCursorName."""
    portal = session.portals.get(name)
    if portal is None:
        raise InvalidCursorName(f'portal "{name}" does not exist')
    return portal


async def execute(session: Session, frame: frames.Execute, *, is_last: bool) -> None:
    """Execute; `is_last`: Sync comes next. Raises: SqlError, KvError."""
    portal = find_portal(session, frame.portal)
    plan = portal.prepared.plan
    if plan.kind is PlanKind.EMPTY:
        session.out.add(EMPTY_QUERY_RESPONSE)
        return
    require_allowed(session, portal.prepared.statement)
    if session.pace.throttle.is_on:
        await session.pace.begin(portal.prepared.statement)
    started_s = session.engine.clock.monotonic_s()
    try:
        tag = await _execute(session, portal, frame, is_last=is_last)
    except BaseException:
        session.account.failed(portal.prepared.statement, portal.prepared.plan)
        raise
    elapsed_s = session.engine.clock.monotonic_s() - started_s
    session.account.succeeded(portal.prepared.statement, portal.prepared.plan, tag, elapsed_s)


async def _execute(
    session: Session, portal: Portal, frame: frames.Execute, *, is_last: bool
) -> str:
    """Run a portal, or go on with it; return its tag, empty while rows are left."""
    plan = portal.prepared.plan
    if portal.is_done and not plan.returns_rows:
        raise ObjectNotInPrerequisiteState(f'portal "{frame.portal}" cannot be run')
    if portal.rows is not None or frame.row_count_max or portal.is_done or portal.is_cursor:
        return await _execute_part(session, portal, frame.row_count_max)
    block = session.block
    is_whole = (
        is_last
        and block.state in (BlockState.IDLE, BlockState.IMPLICIT)
        and not block.statement_count
        and not plan.is_transactional
    )
    portal.is_done = True

    async def attempt() -> str:
        await _enter(session, portal.prepared)
        refresh(session, portal.prepared)
        return await run_plan(
            session, portal.prepared.plan, portal.params, portal.formats, is_whole=is_whole
        )

    tag = await run_statement(
        session, attempt, is_whole=is_whole, can_retry=portal.prepared.statement.can_retry
    )
    if tag:
        session.out.add(command_complete(tag))
    return tag


async def _enter(session: Session, prepared: PreparedStatement) -> None:
    if prepared.statement.as_of is not None:
        await enter_past(session, prepared.statement.as_of)


async def _execute_part(session: Session, portal: Portal, row_count_max: int) -> str:
    """Run a portal for some rows, or go on with one that was suspended; as `_execute`."""
    if portal.rows is None and not portal.is_done and not portal.is_cursor:
        await _enter(session, portal.prepared)
        if portal.prepared.statement.as_of is not None:
            refresh(session, portal.prepared)
    plan = portal.prepared.plan
    if portal.rows is None and not portal.is_done:
        if not plan.returns_rows:

            async def attempt() -> str:
                refresh(session, portal.prepared)
                plan = portal.prepared.plan
                return await run_plan(session, plan, portal.params, portal.formats, is_whole=False)

            portal.is_done = True
            tag = await run_statement(session, attempt, is_whole=False)
            session.out.add(command_complete(tag))
            return tag
        session.block.ensure()

        async def start() -> str:
            refresh(session, portal.prepared)
            await take_rows(session, portal, row_count_max or _PIECE)
            return ""

        await run_statement(session, start, is_whole=False)
        plan = portal.prepared.plan
    encode = session.encoder(plan, portal.formats)
    sent = 0
    while portal.rows is not None:
        wanted = row_count_max - sent if row_count_max else _PIECE
        rows = await portal.rows.take(wanted) if wanted else ()
        if not rows:
            break
        session.out.add(encode(rows))
        sent += len(rows)
        await session.out.relieve()
        if session.pace.throttle.is_on:
            await session.pace.go_on()
    portal.row_count += sent
    if row_count_max and sent >= row_count_max:
        session.out.add(PORTAL_SUSPENDED)
        return ""
    await portal.close()
    tag = portal_tag(portal, sent)
    session.out.add(command_complete(tag))
    return tag


async def close(session: Session, frame: frames.Close) -> None:
    """Close."""
    if frame.kind == "S":
        session.statements.pop(frame.name, None)
    else:
        await session.close_portal(frame.name)
    session.out.add(CLOSE_COMPLETE)
