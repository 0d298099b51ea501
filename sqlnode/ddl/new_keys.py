"""Unique keys of a new index or rewritten table: where they lie nothing was stored before.

So a key is a duplicate just if this transaction has written it already, and nothing has to be
remembered of rows that were staged.
"""

from collections.abc import Sequence

from pgwire.errors import UniqueViolation
from sqlnode.catalog.descriptors import IndexDesc, TableDesc
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.key_text import key_detail
from sqlnode.rowexec.evals import Row

Claim = tuple[bytes, IndexDesc, Row]


async def require_new(context: DdlContext, table: TableDesc, claims: Sequence[Claim]) -> None:
    """Check the keys of rows about to be written. Raises: UniqueViolation."""
    taken = await context.exec.txn.written_among([key for key, _, _ in claims])
    for key, index, row in claims:
        if key in taken:
            raise UniqueViolation(
                f'could not create unique index "{index.name}"',
                detail=f"Key {key_detail(table, index, tuple(row))} is duplicated.",
                table_name=table.name,
                constraint_name=index.name,
            )
        taken.add(key)
