"""Walking plans through subqueries: what the leaves are, which tables a statement reads."""

from collections.abc import Iterator

from sqlnode.plan.logical import Plan, scalars, walk_plans
from sqlnode.plan.scalar import ArraySubquery, Exists, ScalarSubquery, SubqueryAnyAll, walk


def deep_plans(plan: Plan) -> Iterator[Plan]:
    """Yield `plan` and every plan below it, those of scalar subqueries included."""
    for node in walk_plans(plan):
        yield node
        for subplan in subquery_plans(node):
            yield from deep_plans(subplan)


def subquery_plans(node: Plan) -> Iterator[Plan]:
    """Yield the plans of the subqueries that stand directly in a node's scalars."""
    for scalar in scalars(node):
        for item in walk(scalar):
            if isinstance(item, ScalarSubquery | Exists | SubqueryAnyAll | ArraySubquery):
                yield item.plan
