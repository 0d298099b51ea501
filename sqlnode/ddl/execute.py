"""Carrying out a DDL statement: one function for each node, one tag for each statement."""

from typing import Final

import msgspec

from sqlnode.ddl.alter import alter_table, rename
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.drop import drop, truncate
from sqlnode.ddl.indexes import create_index
from sqlnode.ddl.names import find_table
from sqlnode.ddl.nodes import (
    AlterSequence,
    AlterTable,
    CommentOn,
    CreateIndex,
    CreateSchema,
    CreateSequence,
    CreateTable,
    CreateView,
    Ddl,
    Drop,
    Rename,
    Truncate,
)
from sqlnode.ddl.sequences import alter_sequence, create_sequence
from sqlnode.ddl.tables import create_table
from sqlnode.ddl.views import create_schema, create_view

_RENAME_TAGS: Final = {"column": "ALTER TABLE", "constraint": "ALTER TABLE"}


async def execute_ddl(context: DdlContext, node: Ddl) -> str:
    """Run one DDL statement in its transaction; return the command tag. Raises: SqlError."""
    match node:
        case CreateTable():
            return await create_table(context, node)
        case CreateIndex():
            await create_index(context, node)
            return "CREATE INDEX"
        case CreateSequence():
            await create_sequence(context, node)
            return "CREATE SEQUENCE"
        case AlterSequence():
            await alter_sequence(context, node)
            return "ALTER SEQUENCE"
        case CreateView():
            await create_view(context, node)
            return "CREATE VIEW"
        case CreateSchema():
            await create_schema(context, node)
            return "CREATE SCHEMA"
        case Drop():
            await drop(context, node)
            return f"DROP {node.kind.upper()}"
        case Truncate():
            await truncate(context, node)
            return "TRUNCATE TABLE"
        case AlterTable():
            await alter_table(context, node)
            return "ALTER TABLE"
        case Rename():
            await rename(context, node)
            return _RENAME_TAGS.get(node.kind, f"ALTER {node.kind.upper()}")
        case CommentOn():
            _comment(context, node)
            return "COMMENT"


def _comment(context: DdlContext, node: CommentOn) -> None:
    table = find_table(context.editor.catalog, node.table, context.search_path)
    context.editor.require_owner(table, context.user)
    context.editor.put(msgspec.structs.replace(table, comment=node.text))
