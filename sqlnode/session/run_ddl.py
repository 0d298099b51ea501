"""DDL inside a session's transaction, or begun there and left to a job."""

import re
from dataclasses import replace
from typing import Any

from kvapi.spans import Span
from pgwire.errors import ReadOnlySqlTransaction
from sqlnode.catalog.snapshot import Catalog
from sqlnode.context import ExecContext
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.execute import execute_ddl
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
from sqlnode.jobs.schema_turn import take_turn
from sqlnode.session.inner_sql import EngineSql
from sqlnode.session.run_job import run_job
from sqlnode.session.session import Session
from sqlnode.session.transaction_commands import forbid_block


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
        await take_turn(session.engine, txn)
        block.follow(session.engine.catalog)  # nothing was read before
        txn.catalog_version = session.engine.catalog.version
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
    tag = await execute_ddl(ddl, node)
    txn.rely_on(view)
    if ddl.change is not None:
        await run_job(session, ddl.change, text)
    return tag


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
