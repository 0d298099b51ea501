"""What a finished row must meet before it is written: NOT NULL, then CHECK."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.constraint_errors import ConstraintErrors
from sqlnode.rowexec.evals import Layout, Row
from sqlnode.rowexec.scalars import compile_scalar

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class RowChecks:
    """Compiled NOT NULL and CHECK constraints over full rows."""

    def __init__(
        self, table: TableDesc, checks: Sequence[tuple[str, Scalar]], layout: Layout
    ) -> None:
        self._table = table
        self._not_null = [
            n
            for n, column in enumerate(table.columns)
            if (column.not_null or column.refuses_null) and not column.is_unseen
        ]
        # PostgreSQL runs checks in the order of their names.
        self._checks = [
            (name, compile_scalar(condition, layout)) for name, condition in sorted_checks(checks)
        ]

    def check(self, rows: Sequence[Row], ctx: "ExecContext") -> None:
        """Check full rows. Raises: NotNullViolation, CheckViolation."""
        not_null, checks = self._not_null, self._checks
        for row in rows:
            for n in not_null:
                if row[n] is None:
                    raise self._errors(ctx).not_null(self._table.columns[n], row)
            for name, condition in checks:
                if condition(row, ctx) is False:  # unknown passes
                    raise self._errors(ctx).check(name, row)

    def _errors(self, ctx: "ExecContext") -> ConstraintErrors:
        return ConstraintErrors(self._table, ctx.catalog, ctx.settings)


def sorted_checks(checks: Sequence[tuple[str, Scalar]]) -> list[tuple[str, Scalar]]:
    """Return checks in the order in which PostgreSQL runs them: by name."""
    return sorted(checks, key=lambda check: check[0])
