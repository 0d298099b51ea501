"""A second look at a joined row of which some tables' rows have changed since the snapshot.

**Model.** At READ COMMITTED a statement that has locked a row newer than its snapshot asks whether
it still wants it: the plan is computed again for this one row. Each part of the plan (see
plan_parts.py) gives the row that it gave before, the locked ones in their newest version; the
filters, outer joins and projections above them are computed anew, subqueries at the statement's
snapshot.

    update t set v = o.w from o where t.k = o.k      Filter: t.k = o.k, is it still so?
                                                       Join
                                                        ├ t: the newest version of the row
                                                        └ o: the row from before, not a newer one

What PostgreSQL plans as a semijoin, it computes again with the row that matched: `k IN (SELECT …)`
holds if k is what it was, and EXISTS looks only among the rows that matched before.

Source: PostgreSQL, src/backend/executor/README ("EvalPlanQual"), optimizer/plan/subselect.c.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlnode.plan.bind_change import reach
from sqlnode.plan.logical import Cte, Filter, Join, Plan, Project, With
from sqlnode.plan.rewrite import referenced_ids, rewrite
from sqlnode.plan.scalar import ColumnRef, Exists, IsDistinct, Scalar, SubqueryAnyAll
from sqlnode.rowexec.conditions import (
    column_ids,
    comparison_symbol,
    conjunction,
    conjuncts,
    is_repeatable,
)
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_parts import PartedPlan
from sqlnode.rowexec.scalars import compile_row

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_BEFORE: Final = 3_000_000_000  # added to a column's id: its value before the change
Slots = dict[int, int]
Looks = Sequence[list[Any]]
"""Rows under computation: all columns of the plan, then the row as it was."""


class RowScalars(Protocol):
    """Compiled scalars."""

    async def of(self, rows: Sequence[Row], ctx: "ExecContext") -> Sequence[tuple[Any, ...]]:
        """Return their values for each row."""
        ...


CompileScalars = Callable[[Sequence[Scalar], Slots, int], RowScalars]
"""Compile scalars over rows of a layout and width. Raises: NotRowShape."""


class PlainScalars:
    """Scalars without subqueries."""

    def __init__(self, scalars: Sequence[Scalar], slots: Slots, _width: int) -> None:
        self._row = compile_row(scalars, slots)

    async def of(self, rows: Sequence[Row], ctx: "ExecContext") -> Sequence[tuple[Any, ...]]:
        """Return their values for each row."""
        return [self._row(row, ctx) for row in rows]


class SecondLook:
    """A compiled second look at rows laid out by `layout`. Raises: NotRowShape."""

    def __init__(
        self,
        parted: PartedPlan,
        layout: Slots,
        compile_scalars: CompileScalars = PlainScalars,
    ) -> None:
        self._row_width = 1 + max(layout.values(), default=-1)
        slots, width = _slots(parted, layout, self._row_width)
        self._room = [None] * (width - self._row_width)
        compiler = _Compiler(parted.parts, slots, width + self._row_width, compile_scalars)
        compiler.slots |= {_BEFORE + column: width + place for column, place in layout.items()}
        self._root = compiler.step(parted.plan, ())

    async def rows(
        self, rows: Sequence[Row], before: Sequence[Row], ctx: "ExecContext"
    ) -> list[Row | None]:
        """Return each row as it is now, None if the plan no longer gives it.

        `rows` have the newest versions in them, `before` are the same rows as they were.
        """
        width = self._row_width
        looks = [
            [*row[:width], *self._room, *old[:width]] for row, old in zip(rows, before, strict=True)
        ]
        found = await self._root.computed(looks, ctx)
        return [
            tuple(look[:width]) if is_there else None
            for look, is_there in zip(looks, found, strict=True)
        ]


def _slots(parted: PartedPlan, layout: Slots, width: int) -> tuple[Slots, int]:
    """Give each column of the plan a place; return them and how many there are."""
    slots, pending = dict(layout), [parted.plan]
    while pending:
        plan = pending.pop()
        is_part = id(plan) in parted.parts
        for column in plan.columns:
            if column.id not in slots:
                if is_part:
                    raise NotRowShape("a column that the row does not show")
                slots[column.id] = width
                width += 1
        if not is_part:
            pending += [plan.left, plan.right] if isinstance(plan, Join) else [_input(plan)]
    return slots, width


def _input(plan: Any) -> Plan:
    below: Plan = plan.input
    return below


class _Step(Protocol):
    """A node of the plan; fills in its columns and tells which rows it still gives."""

    async def computed(self, looks: Looks, ctx: "ExecContext") -> list[bool]: ...


@dataclass(slots=True)
class _Compiler:
    parts: dict[int, int | None]
    slots: Slots
    width: int
    compile_scalars: CompileScalars

    def step(self, plan: Plan, ctes: tuple[Cte, ...]) -> _Step:
        if id(plan) in self.parts:
            marker = self.parts[id(plan)]
            return _Part(None if marker is None else self.slots[marker])
        match plan:
            case With():
                return self.step(plan.input, plan.ctes)
            case Filter():
                condition = self._condition(plan.condition, ctes)
                return _Filtered(self.step(plan.input, ctes), condition)
            case Project():
                places = [self.slots[column.id] for column in plan.columns]
                scalars = self._scalars(plan.scalars, ctes)
                return _Computed(self.step(plan.input, ctes), scalars, places)
            case Join():
                return self._join(plan, ctes)
        raise AssertionError(f"{type(plan).__name__} is a part")

    def _join(self, plan: Join, ctes: tuple[Cte, ...]) -> _Step:
        return _Joined(
            plan.kind,
            self.step(plan.left, ctes),
            self.step(plan.right, ctes),
            self._condition(plan.condition, ctes),
            [self.slots[column.id] for column in plan.left.columns],
            [self.slots[column.id] for column in plan.right.columns],
        )

    def _condition(self, condition: Scalar | None, ctes: tuple[Cte, ...]) -> RowScalars | None:
        own = {column for column in self.slots if _BEFORE + column in self.slots}
        whole = conjunction(_as_semijoin(part, own) for part in conjuncts(condition))
        return None if whole is None else self._scalars([whole], ctes)

    def _scalars(self, scalars: Sequence[Scalar], ctes: tuple[Cte, ...]) -> RowScalars:
        reaching = [reach(ctes, scalar) for scalar in scalars]
        return self.compile_scalars(reaching, self.slots, self.width)


def _as_semijoin(condition: Scalar, own: set[int]) -> Scalar:
    """Return what a condition of a join amounts to if PostgreSQL makes a semijoin of it."""
    match condition:
        case SubqueryAnyAll(is_all=False) if _is_simple_in(condition, own):
            same = [
                IsDistinct(arg, _before(arg, own), equals, negated=True)
                for arg, equals in zip(condition.args, condition.functions, strict=True)
            ]
            whole = conjunction(same)
            assert whole is not None, "IN has operands"
            return whole
        case Exists(plan=plan) if isinstance(_below_projection(plan), Filter):
            return replace(condition, plan=rewrite(plan, lambda node: _as_before_too(node, own)))
    return condition


def _is_simple_in(condition: SubqueryAnyAll, own: set[int]) -> bool:
    return (
        all(comparison_symbol(function) == "=" for function in condition.functions)
        and all(is_repeatable(arg) and column_ids(arg) for arg in condition.args)
        and own.isdisjoint(referenced_ids(condition.plan))
    )


def _below_projection(plan: Plan) -> Plan:
    while isinstance(plan, Project):
        plan = plan.input
    return plan


def _as_before_too(node: Any, own: set[int]) -> Any:
    """Return a filter of a subquery that lets pass only what it let pass before as well."""
    if not isinstance(node, Filter) or own.isdisjoint(referenced_ids(node.condition)):
        return None
    both = conjunction((node.condition, _before(node.condition, own)))
    assert both is not None, "there are two"
    return Filter(node.input, both)


def _before(scalar: Scalar, own: set[int]) -> Scalar:
    def change(node: Any) -> Any:
        if isinstance(node, ColumnRef) and node.id in own:
            return replace(node, id=_BEFORE + node.id)
        return None

    before: Scalar = rewrite(scalar, change)
    return before


@dataclass(frozen=True, slots=True)
class _Part:
    marker: int | None

    async def computed(self, looks: Looks, _ctx: "ExecContext") -> list[bool]:
        marker = self.marker
        if marker is None:
            return [True] * len(looks)
        return [look[marker] is not None for look in looks]


@dataclass(frozen=True, slots=True)
class _Filtered:
    input: _Step
    condition: RowScalars | None

    async def computed(self, looks: Looks, ctx: "ExecContext") -> list[bool]:
        return await _meet(self.condition, looks, await self.input.computed(looks, ctx), ctx)


@dataclass(frozen=True, slots=True)
class _Computed:
    input: _Step
    scalars: RowScalars
    places: list[int]

    async def computed(self, looks: Looks, ctx: "ExecContext") -> list[bool]:
        there = await self.input.computed(looks, ctx)
        alive = _chosen(looks, there)
        for look, values in zip(alive, await self.scalars.of(alive, ctx), strict=True):
            for place, value in zip(self.places, values, strict=True):
                look[place] = value
        return there


@dataclass(frozen=True, slots=True)
class _Joined:
    kind: str
    left: _Step
    right: _Step
    condition: RowScalars | None
    left_places: list[int]
    right_places: list[int]

    async def computed(self, looks: Looks, ctx: "ExecContext") -> list[bool]:
        lefts = await self.left.computed(looks, ctx)
        rights = await self.right.computed(looks, ctx)
        both = [left and right for left, right in zip(lefts, rights, strict=True)]
        joined = await _meet(self.condition, looks, both, ctx)
        kept = list(joined)
        for n, look in enumerate(looks):
            if joined[n]:
                continue
            if self.kind in ("left", "full") and lefts[n]:
                kept[n] = True
                _clear(look, self.right_places)
            elif self.kind in ("right", "full") and rights[n]:
                kept[n] = True
                _clear(look, self.left_places)
        return kept


def _clear(look: list[Any], places: Sequence[int]) -> None:
    for place in places:
        look[place] = None


def _chosen(looks: Looks, there: Sequence[bool]) -> Looks:
    return [look for look, is_there in zip(looks, there, strict=True) if is_there]


async def _meet(
    condition: RowScalars | None, looks: Looks, there: list[bool], ctx: "ExecContext"
) -> list[bool]:
    """Return which of the rows that are there meet the condition."""
    if condition is None or not any(there):
        return there
    values = iter(await condition.of(_chosen(looks, there), ctx))
    return [is_there and next(values)[0] is True for is_there in there]
