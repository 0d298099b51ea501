"""The way in for INSERT, UPDATE and DELETE: rowexec runs all of them.

A DML statement is atomic: if it fails, what it wrote is taken back from the transaction's buffer.
"""

from typing import TYPE_CHECKING, Any, Protocol

from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.statement import Delete, Insert, Update
from sqlnode.rowexec.dml_change import DeleteRows, UpdateRows
from sqlnode.rowexec.dml_insert import InsertRows
from sqlnode.rowexec.dml_source import SourceCompiler
from sqlnode.rowexec.not_row_shape import NotRowShape

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class DmlExecutable(Protocol):
    """A compiled DML statement; may be run any number of times."""

    async def run(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        """Return (row count, RETURNING rows)."""
        ...


def compile_dml(
    bound: Insert | Update | Delete, catalog: Catalog, source_compiler: SourceCompiler
) -> DmlExecutable:
    """Compile a statement. `source_compiler` is asked for sources that rowexec does not run.

    Raises: FeatureNotSupported.
    """
    try:
        match bound:
            case Insert():
                return InsertRows(bound, catalog, source_compiler)
            case Update():
                return UpdateRows(bound, catalog, source_compiler)
            case Delete():
                return DeleteRows(bound, catalog, source_compiler)
    except NotRowShape as error:
        raise FeatureNotSupported(f"{error} is not supported here") from None
