"""Walking plans through subqueries: what the leaves are, which tables a statement reads."""

from collections.abc import Iterator
from typing import Any

from sqlnode.plan.logical import Plan, scalars, walk_plans
from sqlnode.plan.scalar import ArraySubquery, Exists, ScalarSubquery, SubqueryAnyAll, walk


def deep_plans(plan: Plan) -> Iterator[Plan]:
    """Yield `plan` and every plan below it, those of scalar subqueries included."""
    for node in walk_plans(plan):
        yield node
        for scalar in scalars(node):
            yield from _subplans(scalar)


def _subplans(scalar: Any) -> Iterator[Plan]:
    for node in walk(scalar):
        if isinstance(node, ScalarSubquery | Exists | SubqueryAnyAll | ArraySubquery):
            yield from deep_plans(node.plan)
