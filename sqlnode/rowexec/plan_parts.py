"""A plan so widened that each of its rows shows the rows of all tables it was joined from.

**Model.** The *parts* of a plan are what its outermost joins, filters and projections stand on:
tables, and whatever in FROM is computed as a whole (VALUES, functions, CTEs, subqueries with
aggregates, LIMIT and the like). A row of the widened plan has all columns of all its parts; where
an outer join may have found no row of a part, one of its columns is NULL just then, the *marker*.
So a row can be computed again from its parts (second_look.py).

Source: PostgreSQL, src/backend/optimizer/prep/prepjointree.c (is_simple_subquery).
"""

from dataclasses import dataclass, field, replace
from typing import Final

from sqlnode.functions.registry import Volatility
from sqlnode.plan.logical import Filter, Join, OutColumn, Plan, Project, Scan, With
from sqlnode.plan.scalar import Call, ColumnRef, Const, Scalar, walk
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.types import BOOL

_MARKERS: Final = 1_700_000_000  # ids of columns added here; no binder counts so far
_NULLABLE_LEFT: Final = ("right", "full")
_NULLABLE_RIGHT: Final = ("left", "full")


@dataclass(frozen=True, slots=True)
class PartedPlan:
    """A widened plan; `parts`: identity of each part → the id of its marker, None: always there."""

    plan: Plan
    parts: dict[int, int | None]


def parted(plan: Plan) -> PartedPlan:
    """Widen a plan. The columns it had come first wherever a projection made them."""
    widening = _Widening()
    return PartedPlan(widening.widened(plan, is_top=True), widening.parts)


@dataclass(slots=True)
class _Widening:
    parts: dict[int, int | None] = field(default_factory=dict)

    def widened(self, plan: Plan, *, is_nullable: bool = False, is_top: bool = False) -> Plan:
        match plan:
            case With() if is_top:
                return replace(plan, input=self.widened(plan.input, is_top=True))
            case Filter():
                inner = self.widened(plan.input, is_nullable=is_nullable, is_top=is_top)
                return replace(plan, input=inner)
            case Project() if not any(map(_is_volatile, plan.scalars)):
                inner = self.widened(plan.input, is_nullable=is_nullable, is_top=is_top)
                known = {column.id for column in plan.columns}
                return _with_columns(plan, inner, [c for c in inner.columns if c.id not in known])
            case Join():
                left = is_nullable or plan.kind in _NULLABLE_LEFT
                right = is_nullable or plan.kind in _NULLABLE_RIGHT
                return replace(
                    plan,
                    left=self.widened(plan.left, is_nullable=left),
                    right=self.widened(plan.right, is_nullable=right),
                )
        return self._part(plan, is_nullable=is_nullable)

    def _part(self, plan: Plan, *, is_nullable: bool) -> Plan:
        marker = None
        if is_nullable and isinstance(plan, Scan):
            plan, marker = _with_key_column(plan, self._new_id())
        elif is_nullable:
            marker = OutColumn(self._new_id(), "found", BOOL)
            whole = Project(plan, plan.columns, tuple(map(_reference, plan.columns)))
            plan = replace(
                whole,
                columns=(*whole.columns, marker),
                scalars=(*whole.scalars, Const(True, BOOL)),
            )
        self.parts[id(plan)] = None if marker is None else marker.id
        return plan

    def _new_id(self) -> int:
        return _MARKERS + len(self.parts)


def _with_columns(plan: Project, inner: Plan, more: list[OutColumn]) -> Project:
    return Project(
        inner, (*plan.columns, *more), (*plan.scalars, *[_reference(column) for column in more])
    )


def _with_key_column(scan: Scan, new_id: int) -> tuple[Scan, OutColumn]:
    """Return the scan with a column that is never NULL, and that column."""
    column = scan.table.columns[codec_of(scan.table).primary.positions[0]]
    for listed in scan.columns:
        if listed.attnum == column.attnum:
            return scan, listed
    added = OutColumn(new_id, column.name, column.type, 0, column.attnum)
    return replace(scan, columns=(*scan.columns, added)), added


def _reference(column: OutColumn) -> Scalar:
    return ColumnRef(column.id, column.type)


def _is_volatile(scalar: Scalar) -> bool:
    return any(
        isinstance(node, Call) and node.function.volatility is Volatility.VOLATILE
        for node in walk(scalar)
    )
