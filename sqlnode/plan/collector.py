"""What a SELECT's expressions leave behind for the plan: aggregate, window and set calls.

**Model.** Binding `sum(x) + 1` records sum(x) here under a new column id and yields a reference to
that column. When all expressions are bound, bind_select.py stacks Aggregation, Window and
ProjectSet nodes that produce those columns.
"""

from dataclasses import dataclass, field

from sqlnode.parse.syntax import WindowSpec
from sqlnode.plan.env import Env
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.scalar import AggregateCall, Call, ColumnRef, Scalar, WindowCall
from sqlnode.types import INT4


@dataclass(frozen=True, slots=True)
class PendingGrouping:
    """GROUPING(args) until the groups are known."""

    args: tuple[Scalar, ...]
    position: int


@dataclass(slots=True)
class Collector:
    """Calls found so far, each with the column that will hold its result."""

    aggregates: list[tuple[OutColumn, AggregateCall | PendingGrouping]] = field(
        default_factory=list
    )
    windows: list[tuple[OutColumn, WindowCall]] = field(default_factory=list)
    sets: list[tuple[OutColumn, Call]] = field(default_factory=list)
    named_windows: dict[str, WindowSpec] = field(default_factory=dict)

    def aggregate(self, env: Env, call: AggregateCall) -> ColumnRef:
        """Record an aggregate; an equal one is computed once."""
        for column, known in self.aggregates:
            if known == call:
                return _ref(column)
        column = env.new_column(call.aggregate.name, call.type)
        self.aggregates.append((column, call))
        return _ref(column)

    def grouping(self, env: Env, args: tuple[Scalar, ...], position: int) -> ColumnRef:
        """Record GROUPING(args)."""
        column = env.new_column("grouping", INT4)
        self.aggregates.append((column, PendingGrouping(args, position)))
        return _ref(column)

    def window(self, env: Env, name: str, call: WindowCall) -> ColumnRef:
        """Record a window call; an equal one is computed once."""
        for column, known in self.windows:
            if known == call:
                return _ref(column)
        column = env.new_column(name, call.type)
        self.windows.append((column, call))
        return _ref(column)

    def set_call(self, env: Env, call: Call) -> ColumnRef:
        """Record a set-returning call of the select list."""
        column = env.new_column(call.function.name, call.type)
        self.sets.append((column, call))
        return _ref(column)


def _ref(column: OutColumn) -> ColumnRef:
    return ColumnRef(column.id, column.type, column.name)
