"""DDL inside a session's transaction."""

import re
from dataclasses import replace
from typing import Any

from pgwire.errors import ReadOnlySqlTransaction
from sqlnode.catalog.snapshot import Catalog
from sqlnode.context import ExecContext
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.execute import execute_ddl
from sqlnode.ddl.nodes import Ddl
from sqlnode.session.inner_sql import EngineSql
from sqlnode.session.session import Session


async def run_ddl(session: Session, node: Ddl | Any, text: str) -> str:
    """Run one DDL statement, read from `text`; return its tag. Raises: SqlError, KvError."""
    block = session.block
    block.ensure()
    if block.is_read_only:
        word = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).upper()
        raise ReadOnlySqlTransaction(f"cannot execute {word} in a read-only transaction")
    editor = block.edit_catalog(session.engine.allocate_id)
    context = session.context(())

    def inner_context(catalog: Catalog) -> ExecContext:
        return replace(context, catalog=catalog)

    return await execute_ddl(DdlContext(editor, context, EngineSql(inner_context), text), node)
