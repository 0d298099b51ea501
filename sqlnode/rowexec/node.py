"""What every operator of rowexec is, and the run they share.

**Model.** Operators pull: `batches` yields lists of rows, tuples laid out by `layout` (column id →
position). A run has a *budget* of rows it may read. Shapes whose size is unknown when compiled run
within a small one; if it is spent, TooManyRows tells the caller, who has not passed on a row yet,
to hand the whole query to vecexec.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

BATCH_ROWS: Final = 1000
UNLIMITED: Final = 1 << 62
BUDGETLESS: Final = 1 << 61  # a budget above this was never limited

Batches = AsyncGenerator[list[Any], None]


class TooManyRows(Exception):
    """The budget is spent."""


@dataclass(slots=True)
class Run:
    """One execution of a compiled plan."""

    ctx: "ExecContext"
    budget_rows: int = UNLIMITED

    def read_limit(self, limit: int) -> int:
        """Return how many rows to ask the store for if `limit` are wanted (0: all)."""
        if self.budget_rows >= BUDGETLESS:
            return limit
        return min(limit or UNLIMITED, self.budget_rows + 1)

    def spend(self, row_count: int) -> None:
        """Count rows read from the store. Raises: TooManyRows."""
        self.budget_rows -= row_count
        if self.budget_rows < 0:
            raise TooManyRows


class Node(Protocol):
    """An operator. `is_bounded`: the plan itself says that few rows are read."""

    layout: dict[int, int]
    is_bounded: bool
    is_full_scan: bool  # reads a whole table of unknown size

    def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield batches of rows; `limit` says how many will be taken at most, 0 is all."""
        ...


SingleBatch = Callable[[Run], Awaitable[list[Any]]]


def single_batch(node: Node) -> SingleBatch | None:
    """Return what gives all rows of a node that reads by key: quicker than its `batches`."""
    single: SingleBatch | None = getattr(node, "single", None)
    return single
