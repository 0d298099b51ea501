"""Prepared statements and portals: what Parse and Bind make, what Execute runs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlnode.plan_cache import PlanEnv
from sqlnode.planner import Plan
from sqlnode.statements import Statement

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


@dataclass(slots=True, eq=False)
class PreparedStatement:
    """A named or unnamed prepared statement; `plan` is renewed when the catalog has moved on."""

    name: str
    statement: Statement
    declared: tuple[int, ...]
    plan: Plan
    env: PlanEnv
    from_sql: bool = False  # by PREPARE, not by Parse
    prepared_micros: int = 0


@dataclass(slots=True, eq=False)
class Portal:
    """A bound statement and how far it has run."""

    name: str
    prepared: PreparedStatement
    params: Sequence[Any]
    formats: tuple[int, ...]
    text: str = ""
    is_cursor: bool = False
    rows: "RowSource | None" = None  # set by the first Execute
    read_ts: int = 0  # its snapshot, which READ COMMITTED leaves behind
    is_done: bool = False
    tag: str = ""
    row_count: int = 0  # sent so far

    async def close(self) -> None:
        """Stop reading."""
        if self.rows is not None:
            await self.rows.close()
            self.rows = None
        self.is_done = True


@dataclass(slots=True, eq=False)
class RowSource:
    """Rows of a running statement, taken in pieces."""

    batches: AsyncIterator[Sequence[Any]]
    context: "ExecContext | None" = None  # is told how many are wanted
    _rest: Sequence[Any] = field(default=())

    async def take(self, row_count_max: int) -> Sequence[Any]:
        """Return up to so many rows; none means the end."""
        if not await self.has_more(row_count_max):
            return ()
        taken, self._rest = self._rest[:row_count_max], self._rest[row_count_max:]
        return taken

    async def has_more(self, wanted: int) -> bool:
        """Tell whether there is another row, of which so many are wanted."""
        if self.context is not None:
            self.context.rows_wanted = wanted
        while not self._rest:
            batch = await anext(self.batches, None)
            if batch is None:
                return False
            self._rest = batch
        return True

    async def close(self) -> None:
        """Stop reading."""
        close = getattr(self.batches, "aclose", None)
        if close is not None:
            await close()
