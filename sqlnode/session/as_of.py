"""AS OF SYSTEM TIME: which past a statement or a transaction block reads.

**Model.** The time is a constant, computed once, relative to the transaction's start. With it comes
the catalog as it was then; what is bound from there on is bound against that, and the transaction
reads that snapshot, writes nothing, locks nothing and has nothing to validate.

A statement with the clause is a transaction of its own. In a block the clause has to name the
block's own time, as in CockroachDB: one transaction has one snapshot.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from pgwire.errors import FeatureNotSupported, SqlError, SqlSyntaxError
from sqlnode.context import ExecContext
from sqlnode.parse.query_syntax import PastTime
from sqlnode.parse.syntax import Literal, ParamRef
from sqlnode.past_time import past_timestamp
from sqlnode.plan.bind import BindSession, bind_expression
from sqlnode.plan.literals import at_position
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.session.session import Session
from sqlnode.session.transaction_block import BlockState, Past
from sqlnode.types import TEXT, SqlType


async def find_past(session: Session, clause: PastTime) -> Past:
    """Return the past that a clause names, its catalog loaded. Raises: SqlError, SnapshotTooOld."""
    block = session.block
    is_running = block.is_block or block.statement_count > 0
    if not is_running:
        session.begin_clock(session.now_micros())
    now = session.txn_start_micros
    value, type_ = _value(session, clause, now)
    settings = session.parameters.settings
    try:
        read_ts = past_timestamp(value, type_, now_micros=now, settings=settings)
    except SqlError as error:
        raise at_position(error, clause.position) from None
    if block.past is not None and block.past.read_ts == read_ts:
        return block.past
    return Past(read_ts, await session.engine.past.at(read_ts))


async def enter_past(session: Session, clause: PastTime) -> None:
    """Make the statement that begins now read the past. Raises: SqlError, SnapshotTooOld."""
    block = session.block
    past = await find_past(session, clause)
    if not block.is_block and not block.statement_count and block.txn is None:
        block.read_past(past)
    elif block.past is not past:
        raise SqlSyntaxError(
            "inconsistent AS OF SYSTEM TIME timestamp: the transaction reads another time",
            hint="Try BEGIN AS OF SYSTEM TIME or SET TRANSACTION AS OF SYSTEM TIME.",
            position=clause.position,
        )


async def planning(session: Session, clause: PastTime | None) -> AbstractContextManager[None]:
    """Return a context in which a statement is planned before it runs: Parse, PREPARE."""
    block = session.block
    is_free = block.state in (BlockState.IDLE, BlockState.IMPLICIT) and block.txn is None
    if clause is None or not is_free:
        return nullcontext()
    return block.planning_for(await find_past(session, clause))


def _value(session: Session, clause: PastTime, now: int) -> tuple[Any, SqlType]:
    """Compute the clause's expression; return its datum and type. Raises: SqlError."""
    if isinstance(clause.expr, Literal) and clause.expr.kind == "string":
        return clause.expr.value, TEXT
    if _has_parameter(clause.expr):
        raise FeatureNotSupported(
            "a parameter in AS OF SYSTEM TIME is not supported", position=clause.position
        )
    settings = session.parameters.settings
    try:
        scalar = bind_expression(
            clause.text,
            (),
            catalog=session.block.catalog,
            search_path=session.info.search_path,
            clause="AS OF SYSTEM TIME",
            session=BindSession(settings),
        )
        return compile_scalar(scalar, {})((), _context(session, now)), scalar.type
    except NotRowShape:
        raise SqlSyntaxError(
            "AS OF SYSTEM TIME: only constant expressions are allowed", position=clause.position
        ) from None
    except SqlError as error:
        if error.position is not None:
            error.position += clause.position - 1
        raise


def _has_parameter(tree: Any) -> bool:
    if isinstance(tree, ParamRef):
        return True
    if isinstance(tree, msgspec.Struct):
        return any(_has_parameter(getattr(tree, name)) for name in tree.__struct_fields__)
    return isinstance(tree, tuple) and any(map(_has_parameter, tree))


def _context(session: Session, now: int) -> ExecContext:
    """Return surroundings without a transaction: a constant has none."""
    engine = session.engine
    return ExecContext(
        txn=None,  # type: ignore[arg-type]  # asynchronous calls, which need it, are refused
        catalog=session.block.catalog,
        params=(),
        settings=session.parameters.settings,
        session=session.info,
        sequences=session.sequences,
        txn_start_micros=now,
        statement_micros=now,
        clock_micros=engine.now_micros,
        random=engine.random,
        notice=session.out.notice,
    )
