"""DDL inside a session's transaction, or begun there and left to a job."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

from kvapi.spans import Span
from pgwire.errors import ReadOnlySqlTransaction
from sqlnode.catalog.snapshot import Catalog
from sqlnode.context import ExecContext
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.execute import execute_ddl
from sqlnode.ddl.named_relations import named_relations
from sqlnode.ddl.nodes import (
    AddColumn,
    AddConstraint,
    AlterTable,
    CreateIndex,
    CreateTable,
    Ddl,
    DropColumn,
    SetNotNull,
    SetType,
    ValidateConstraint,
)
from sqlnode.jobs.schema_turn import let_go, take_relations, take_turn
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.session.inner_sql import EngineSql
from sqlnode.session.run_job import run_job
from sqlnode.session.session import Session
from sqlnode.session.transaction_commands import forbid_block
from sqlnode.txn import Transaction


async def run_ddl(session: Session, node: Ddl | Any, text: str) -> str:
    """Run one DDL statement, read from `text`; return its tag. Raises: SqlError, KvError."""
    block = session.block
    if isinstance(node, CreateIndex) and node.concurrently:
        forbid_block(session, "CREATE INDEX CONCURRENTLY")
    online = session.is_whole and _is_one_change(node)
    # Alone: what the statement finds is still so when it commits.
    txn = block.begin_serializable() if session.is_whole else block.begin_work()
    if block.is_read_only:
        word = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).upper()
        word = "TRUNCATE TABLE" if word == "TRUNCATE" else word
        raise ReadOnlySqlTransaction(f"cannot execute {word} in a read-only transaction")
    if session.is_whole:
        await _take_turns(session, node, txn)
    editor = block.edit_catalog(session.engine.allocate_id)
    # Rows of a query may change until the commit as the level says, what DDL relies on may not.
    view = txn if isinstance(node, CreateTable) else txn.watched()
    context = replace(session.context(()), txn=view)

    def inner_context(catalog: Catalog) -> ExecContext:
        return replace(context, catalog=catalog)

    async def has_rows(span: Span) -> bool:
        found = await session.engine.kv.scan(span, limit_rows=1, keys_only=True)
        return found.row_count > 0

    ddl = DdlContext(editor, context, EngineSql(inner_context), text)
    ddl.has_rows = has_rows if online else None
    ddl.let_go = partial(_begin_scan, session, txn)
    tag = await execute_ddl(ddl, node)
    txn.rely_on(view)
    if ddl.change is not None:
        assert not txn.locks.has_let_go, "what is left to a job reads no rows before"
        await run_job(session, ddl.change, text)
    return tag


async def _take_turns(session: Session, node: Any, txn: Transaction) -> None:
    """Wait until nobody else changes what the statement names; begin with the newest catalog."""
    engine, block = session.engine, session.block
    named = named_relations(node, engine.catalog, session.info.search_path)
    txn.catalog_version = 0  # nothing was read before: nobody has to wait for who waits here
    await take_relations(txn, named, timeout_ms=lock_timeout_ms(session.context(())))
    await take_turn(engine, txn)
    block.follow(engine.catalog)
    txn.catalog_version = engine.catalog.version


def _begin_scan(session: Session, txn: Transaction) -> None:
    """Let others change what this statement does not use, as long as it may last."""
    let_go(txn)
    if session.is_whole:
        engine = session.engine
        engine.catalog_use.carry(txn.used, session.block.base_catalog, engine.catalog)


def _is_one_change(node: Any) -> bool:
    """Tell whether a statement is a single change of a kind that jobs can carry out."""
    if isinstance(node, AlterTable) and len(node.actions) == 1:
        (action,) = node.actions
        match action:
            case AddConstraint() | DropColumn() | SetType() | ValidateConstraint():
                return True
            case AddColumn(column=column):
                return not column.constraints
            case _:
                return isinstance(action, SetNotNull) and action.not_null
    return isinstance(node, CreateIndex)
