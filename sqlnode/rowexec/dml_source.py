"""Where the rows of a DML statement come from: rowexec if it can, else vecexec.

**Model.** Rows come as they are read: a source may be larger than memory. So that a statement never
reads what it wrote itself (an index entry it moved would come up again), sources read through
`source_context`, the transaction as the statement found it.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Plan, Scan, walk_plans
from sqlnode.plan.statement import Query
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import Executable, compile_query

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

SourceCompiler = Callable[[Query], Executable]


def compile_source(plan: Plan, catalog: Catalog, compiler: SourceCompiler) -> Executable:
    """Compile a source whose rows are just its columns."""
    query = Query(plan, plan.columns)
    try:
        return compile_query(query, catalog, lambda: compiler(query))
    except NotRowShape:
        return compiler(query)


def reads_tables(plan: Plan) -> bool:
    """Tell whether a plan reads stored rows as it goes; what vecexec runs reads them first."""
    return any(isinstance(part, Scan) for part in walk_plans(plan))


def source_context(ctx: "ExecContext") -> "ExecContext":
    """Return a context whose reads do not see what the statement writes from now on."""
    made = copy.copy(ctx)
    made.txn = ctx.txn.as_statement_began()
    return made
