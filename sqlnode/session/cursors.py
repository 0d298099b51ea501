"""DECLARE, FETCH, MOVE, CLOSE: cursors in SQL, forward only, for as long as their block.

A cursor is a portal, so clients may also run it by Execute.

Source: PostgreSQL, src/backend/commands/portalcmds.c.
"""

from collections.abc import Sequence
from typing import Any

from pgwire.errors import (
    DuplicateCursor,
    FeatureNotSupported,
    InvalidCursorName,
    ObjectNotInPrerequisiteState,
)
from sqlnode.parse import utility as u
from sqlnode.plan.logical import Columns
from sqlnode.session.portal import Portal, PreparedStatement
from sqlnode.session.session import Session
from sqlnode.session.transaction_commands import require_block
from sqlnode.statements import statement_of_tree

_PIECE = 1000


async def declare(session: Session, node: u.DeclareCursor) -> str:
    """DECLARE CURSOR: begin to read, so that later writes of the transaction are not seen.

    Raises: NoActiveSqlTransaction, DuplicateCursor, FeatureNotSupported, what the query raises.
    """
    from sqlnode.session.run_plan import take_rows

    if node.hold:
        raise FeatureNotSupported("DECLARE CURSOR WITH HOLD is not supported")
    if node.scroll:
        raise FeatureNotSupported("DECLARE SCROLL CURSOR is not supported")
    statement = statement_of_tree(node.query, f"DECLARE {node.name} CURSOR")
    env = session.env()
    plan = session.engine.plan(statement, env)
    require_block(session, "DECLARE CURSOR")
    if node.name in session.portals:
        raise DuplicateCursor(f'cursor "{node.name}" already exists')
    prepared = PreparedStatement("", statement, (), plan, env)
    formats = (1,) if node.binary else ()
    session.block.ensure()
    portal = Portal(node.name, prepared, (), formats, statement.text, is_cursor=True)
    session.add_portal(portal)
    try:
        await take_rows(session, portal)
    except BaseException:
        await session.close_portal(node.name)
        raise
    return "DECLARE CURSOR"


async def fetch(
    session: Session, node: u.FetchCursor
) -> tuple[Columns, Sequence[tuple[Any, ...]], str]:
    """FETCH or MOVE: return columns (none for MOVE), rows and tag.

    Raises: InvalidCursorName, ObjectNotInPrerequisiteState.
    """
    from sqlnode.session.run_plan import take_rows

    portal = session.portals.get(node.name)
    if portal is None:
        raise InvalidCursorName(f'cursor "{node.name}" does not exist')
    try:
        if portal.rows is None and not portal.is_done:
            await take_rows(session, portal)
        row_count, rows = await _taken(portal, _row_count(node), is_move=node.is_move)
    except BaseException:
        await session.close_portal(node.name)  # a savepoint does not bring a failed cursor back
        raise
    if node.is_move:
        return (), (), f"MOVE {row_count}"
    return portal.prepared.plan.columns, rows, f"FETCH {row_count}"


async def _taken(
    portal: Portal, wanted: int | None, *, is_move: bool
) -> tuple[int, list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = []
    row_count = 0
    while portal.rows is not None and (wanted is None or row_count < wanted):
        part = await portal.rows.take(_PIECE if wanted is None else wanted - row_count)
        if not part:
            portal.is_done = True
            await portal.close()
            break
        row_count += len(part)
        if not is_move:
            rows += part
    return row_count, rows


def _row_count(node: u.FetchCursor) -> int | None:
    """Return how many rows forward; None: all."""
    count = node.count
    if node.direction in ("forward", "relative") and (count is None or count >= 0):
        return count if node.direction == "forward" else 1 if count else 0
    raise ObjectNotInPrerequisiteState(
        "cursor can only scan forward",
        hint="Declare it with SCROLL option to enable backward scan.",
    )


async def close_cursor(session: Session, node: u.CloseCursor) -> str:
    """CLOSE. Raises: InvalidCursorName."""
    if node.name is None:
        for name in [name for name, portal in session.portals.items() if portal.is_cursor]:
            await session.close_portal(name)
        return "CLOSE CURSOR ALL"
    if node.name not in session.portals:
        raise InvalidCursorName(f'cursor "{node.name}" does not exist')
    await session.close_portal(node.name)
    return "CLOSE CURSOR"
