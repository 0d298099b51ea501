"""Which part of a table a query can need: conditions on the primary key narrow the scan.

Conditions are followed down from WHERE and ON to the scans that they speak of, through nodes that
neither need the rows they exclude nor invent rows. They stay where they are as well; DuckDB filters
by them again.
"""

from collections.abc import Sequence

from sqlnode.plan.logical import Filter, Join, Plan, Project, Scan, Sort, inputs
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.access_path import choose_path
from sqlnode.rowexec.conditions import column_ids, conjuncts
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.rowexec.table_reads import BoundTerms
from sqlnode.vecexec.plan_walk import subquery_plans

Narrowed = dict[int, BoundTerms]


def narrowed_scans(plan: Plan) -> Narrowed:
    """Return, by identity of the Scan, how to compute the spans to read; absent: all rows."""
    found: Narrowed = {}
    _descend(plan, (), found)
    return found


def _descend(plan: Plan, known: Sequence[Scalar], found: Narrowed) -> None:
    for subplan in subquery_plans(plan):
        _descend(subplan, (), found)
    match plan:
        case Scan():
            if (terms := _terms(plan, known)) is not None:
                found[id(plan)] = terms
        case Filter():
            _descend(plan.input, (*known, *conjuncts(plan.condition)), found)
        case Project() | Sort():
            _descend(plan.input, known, found)
        case Join():
            _descend_join(plan, known, found)
        case _:
            for child in inputs(plan):
                _descend(child, (), found)


def _descend_join(plan: Join, known: Sequence[Scalar], found: Narrowed) -> None:
    """Narrow the sides: one that keeps unmatched rows not by ON, its partner not by WHERE."""
    own = conjuncts(plan.condition)
    left = {"inner": (*known, *own), "cross": (*known, *own), "left": known, "right": own}
    right = {"inner": (*known, *own), "cross": (*known, *own), "left": own, "right": known}
    _descend(plan.left, left.get(plan.kind, ()), found)
    _descend(plan.right, right.get(plan.kind, ()), found)


def _terms(scan: Scan, known: Sequence[Scalar]) -> BoundTerms | None:
    ids = {column.id for column in scan.columns}
    usable = [part for part in known if (used := column_ids(part)) and used <= ids]
    if not usable:
        return None
    try:
        path = choose_path(scan, usable, (), has_limit=False)
        if path.is_full_scan or path.index is not codec_of(scan.table).primary:
            return None
        return BoundTerms(path, {})
    except NotRowShape:
        return None
