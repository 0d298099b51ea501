"""A bound query: its plan and which of the plan's columns it shows."""

from dataclasses import dataclass

from sqlnode.plan.logical import Columns, Plan, Project
from sqlnode.plan.scalar import ColumnRef


@dataclass(frozen=True, slots=True)
class QueryResult:
    """`plan.columns` begin with `columns`; what follows them is there for sorting only."""

    plan: Plan
    columns: Columns


def trim(result: QueryResult) -> Plan:
    """Return the plan with exactly the visible columns."""
    if result.plan.columns == result.columns:
        return result.plan
    refs = tuple(ColumnRef(c.id, c.type, c.name) for c in result.columns)
    return Project(result.plan, result.columns, refs)
