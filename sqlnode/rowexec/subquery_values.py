"""Subqueries in what a change computes from its rows: RETURNING and ON CONFLICT's SET and WHERE.

**Model.** Each subquery becomes one more column of the row. Those that do not look at the row are
computed once, before the statement writes anything. The others are one query over the rows as
literal VALUES, run before the rows are written, because a statement's subqueries see the data as it
was before the statement.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import OutColumn, Plan, Project, Scan, SingleRow, Values
from sqlnode.plan.rewrite import every_node, rewrite
from sqlnode.plan.scalar import ColumnRef, Const, Scalar
from sqlnode.rowexec.conditions import SUBQUERIES
from sqlnode.rowexec.dml_source import SourceCompiler, compile_source
from sqlnode.rowexec.evals import Row
from sqlnode.types import INT4

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_FIRST_ID: Final = 1_900_000_000  # ids of values computed here; no binder counts so far


class SubqueryValues:
    """Collects the subqueries of several scalars over one row layout.

    `layout` grows by one column for each; rows grow by `Computed.extend`.
    """

    def __init__(
        self, layout: dict[int, int], width: int, catalog: Catalog, compiler: SourceCompiler
    ) -> None:
        self.layout = dict(layout)
        self.width = width
        self.catalog = catalog
        self.compiler = compiler
        self.fixed: list[tuple[int, Scalar]] = []  # (position, scalar), the row plays no part
        self.by_row: list[tuple[int, Scalar]] = []
        self.inputs: dict[int, ColumnRef] = {}  # columns of the row that `by_row` looks at

    def __bool__(self) -> bool:
        return bool(self.fixed or self.by_row)

    def take(self, scalar: Scalar) -> Scalar:
        """Return the scalar with a column in the stead of each subquery."""
        taken: Scalar = rewrite(scalar, self._column)
        return taken

    def _column(self, scalar: Any) -> Scalar | None:
        if not isinstance(scalar, SUBQUERIES):
            return None
        number = len(self.fixed) + len(self.by_row)
        used = {
            node.id: node
            for node in every_node(scalar)
            if isinstance(node, ColumnRef) and node.id in self.layout
        }
        (self.by_row if used else self.fixed).append((self.width + number, scalar))
        self.inputs |= used
        self.layout[_FIRST_ID + number] = self.width + number
        return ColumnRef(_FIRST_ID + number, scalar.type)

    def refuse_reads_of(self, table: TableDesc) -> None:
        """Refuse what would have to be computed after `table` was written, yet reads it."""
        for _, scalar in self.by_row:
            if any(isinstance(n, Scan) and n.table.id == table.id for n in every_node(scalar)):
                raise FeatureNotSupported(
                    f'a subquery that reads "{table.name}" and refers to the row is not supported '
                    "in INSERT with ON CONFLICT"
                )

    async def begin(self, ctx: "ExecContext") -> "Computed":
        """Begin one execution: compute what no row plays a part in."""
        values = {}
        if self.fixed:
            rows = await self._run(SingleRow(), self.fixed, ctx)
            values = {place: rows[0][n] for n, (place, _) in enumerate(self.fixed)}
        return Computed(self, values)

    async def of_rows(self, rows: Sequence[Row], ctx: "ExecContext") -> list[Row]:
        """Compute the scalars of `by_row`, for each row in order."""
        number = OutColumn(_FIRST_ID + 20_000, "n", INT4)
        refs = [(self.layout[ref.id], ref) for ref in self.inputs.values()]
        literals = tuple(
            (Const(n, INT4), *(Const(row[place], ref.type) for place, ref in refs))
            for n, row in enumerate(rows)
        )
        columns = (number, *(OutColumn(ref.id, f"c{ref.id}", ref.type) for _, ref in refs))
        order: tuple[int, Scalar] = (-1, ColumnRef(number.id, INT4))
        done = await self._run(Values(literals, columns), [order, *self.by_row], ctx)
        return [row[1:] for row in sorted(done, key=lambda row: row[0])]

    async def _run(
        self, source: Plan, wanted: Sequence[tuple[int, Scalar]], ctx: "ExecContext"
    ) -> list[Row]:
        columns = tuple(
            OutColumn(_FIRST_ID + 10_000 + n, f"v{n}", scalar.type)
            for n, (_, scalar) in enumerate(wanted)
        )
        plan = Project(source, columns, tuple(scalar for _, scalar in wanted))
        executable = compile_source(plan, self.catalog, self.compiler)
        return [row async for rows in executable.run(ctx) for row in rows]


class Computed:
    """One execution of SubqueryValues."""

    def __init__(self, scalars: SubqueryValues, fixed: dict[int, Any]) -> None:
        self._scalars = scalars
        self._fixed = fixed

    async def extend(self, rows: Sequence[Row], ctx: "ExecContext") -> list[Row]:
        """Return the rows with the values appended."""
        scalars = self._scalars
        if not rows:
            return []
        found = await scalars.of_rows(rows, ctx) if scalars.by_row else [()] * len(rows)
        places = [place for place, _ in scalars.by_row]
        extended: list[Row] = []
        for row, values in zip(rows, found, strict=True):
            more = self._fixed | dict(zip(places, values, strict=True))
            extended.append((*row, *(more[place] for place in sorted(more))))
        return extended
