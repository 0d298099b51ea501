"""Grouping in Python, for inputs that are short."""

from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from sqlnode.plan.logical import Aggregation
from sqlnode.plan.scalar import AggregateCall
from sqlnode.rowexec.evals import Layout, Row
from sqlnode.rowexec.node import Batches, Node, Run
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.operators import order_key
from sqlnode.rowexec.scalars import compile_row, compile_scalar
from sqlnode.rowexec.sources import positions

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class _Call:
    """One aggregate call: which rows reach the accumulator, with what."""

    def __init__(self, call: AggregateCall, layout: Layout) -> None:
        if call.order_by or call.aggregate.ordered_set or call.aggregate.python is None:
            raise NotRowShape("ordered aggregate")
        if call.aggregate.needs_context:
            raise NotRowShape("aggregate that reads the session")
        self.make: Callable[[], Any] = call.aggregate.python
        self.args = None if call.star else compile_row(call.args, layout)
        self.filter = compile_scalar(call.filter, layout) if call.filter is not None else None
        self.distinct_by: list[Callable[[Any], Any] | None] | None = None
        if call.distinct:
            self.distinct_by = [order_key(arg.type.oid) for arg in call.args]


class _State:
    """The accumulator of one call in one group."""

    __slots__ = ("accumulator", "call", "seen")

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.accumulator = call.make()
        self.seen: set[Any] = set()

    def step(self, row: Row, ctx: "ExecContext") -> None:
        call = self.call
        if call.filter is not None and call.filter(row, ctx) is not True:
            return
        datums = () if call.args is None else call.args(row, ctx)
        if call.distinct_by is not None:
            key = tuple(
                datum if datum is None or by is None else by(datum)
                for datum, by in zip(datums, call.distinct_by, strict=True)
            )
            if key in self.seen:
                return
            self.seen.add(key)
        self.accumulator.step(*datums)


class AggregateRows:
    """GROUP BY with a dictionary; groups come in the order in which they were met."""

    def __init__(self, source: Node, plan: Aggregation) -> None:
        if plan.grouping_sets is not None:
            raise NotRowShape("grouping sets")
        self.layout = positions(plan.columns)
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self._source = source
        self._calls = []
        for call in plan.aggregates:
            if not isinstance(call, AggregateCall):
                raise NotRowShape("GROUPING")
            self._calls.append(_Call(call, source.layout))
        self._groups = compile_row(plan.groups, source.layout)
        self._is_plain = not plan.groups
        self._normal = [_group_key(scalar.type.oid) for scalar in plan.groups]

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield one batch of groups."""
        groups: dict[Any, tuple[tuple[Any, ...], list[_State]]] = {}
        if self._is_plain:
            groups[()] = ((), [_State(call) for call in self._calls])
        async with aclosing(self._source.batches(run)) as batches:
            async for rows in batches:
                self._absorb(rows, groups, run.ctx)
        yield [
            (*values, *(state.accumulator.final() for state in states))
            for values, states in groups.values()
        ]

    def _absorb(
        self,
        rows: list[Row],
        groups: dict[Any, tuple[tuple[Any, ...], list[_State]]],
        ctx: "ExecContext",
    ) -> None:
        normal = self._normal
        for row in rows:
            values = self._groups(row, ctx)
            key = tuple(
                value if by is None or value is None else by(value)
                for value, by in zip(values, normal, strict=True)
            )
            group = groups.get(key)
            if group is None:
                group = groups[key] = (values, [_State(call) for call in self._calls])
            for state in group[1]:
                state.step(row, ctx)


def _group_key(type_oid: int) -> Callable[[Any], Any] | None:
    """Return what tells groups of a type apart. Raises: NotRowShape."""
    return order_key(type_oid)
