"""What binding one statement may look at, and the little state it has: parameters and column ids.

**Invariants.** Column ids come from one counter, so that they are unique within a statement, views
and CTEs included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.errors import (
    AmbiguousParameter,
    IndeterminateDatatype,
    StatementTooComplex,
    UndefinedParameter,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.scalar import Const, Param
from sqlnode.types import UNKNOWN, SqlType, format_type

PARAMS_MAX = 65535
VIEW_DEPTH_MAX = 64


@dataclass(frozen=True, slots=True)
class BindSession:
    """The part of a session that binding depends on: how text literals are read."""

    settings: Settings = DEFAULT_SETTINGS


class Params:
    """Types of $1, $2 …: declared by the client, or inferred from the first typed context.

    Source: PostgreSQL, parse_param.c (variable parameters).
    """

    def __init__(self, declared: Sequence[SqlType | None]) -> None:
        self._types: dict[int, SqlType] = {
            i: t
            for i, t in enumerate(declared, 1)
            if t is not None and t.oid not in (0, UNKNOWN.oid)
        }
        self._count = len(declared)
        self._seen: set[int] = set()

    def reference(self, index: int, position: int) -> Param:
        """Return the parameter as known so far. Raises: UndefinedParameter."""
        if not 1 <= index <= PARAMS_MAX:
            raise UndefinedParameter(f"there is no parameter ${index}", position=position)
        self._seen.add(index)
        self._count = max(self._count, index)
        return Param(index, self._types.get(index, UNKNOWN).bare)

    def infer(self, index: int, wanted: SqlType) -> Param:
        """Give an unknown parameter the type its context wants. Raises: AmbiguousParameter."""
        known = self._types.get(index)
        if known is None:
            self._types[index] = wanted.bare
        elif known.oid != wanted.oid:
            raise AmbiguousParameter(
                f"inconsistent types deduced for parameter ${index}",
                detail=f"{format_type(known.bare)} versus {format_type(wanted.bare)}",
            )
        return Param(index, wanted.bare)

    def finish(self) -> tuple[SqlType, ...]:
        """Return all types. Raises: IndeterminateDatatype for one that no context told."""
        for index in range(1, self._count + 1):
            if index not in self._types:
                raise IndeterminateDatatype(f"could not determine data type of parameter ${index}")
        return tuple(self._types[i].bare for i in range(1, self._count + 1))


@dataclass(slots=True)
class Env:
    """Everything a statement's binding shares."""

    catalog: Catalog
    search_path: tuple[str, ...]
    session: BindSession
    params: Params
    last_id: int = 0
    last_cte: int = 0
    view_depth: int = 0
    relations: set[int] = field(default_factory=set)  # ids of tables and views, those in views too
    widths: dict[int, int] = field(default_factory=dict)  # of the view that is being bound
    literals: dict[int, tuple[Const, int]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)  # column id → where it was first named

    def literal(self, const: Const, position: int) -> Const:
        """Remember where an untyped literal stands, for the error if its type cannot read it."""
        self.literals[id(const)] = (const, position)
        return const

    def literal_position(self, const: Const) -> int | None:
        found = self.literals.get(id(const))
        return found[1] if found is not None else None

    def new_column(
        self, name: str, type_: SqlType, table_oid: int = 0, attnum: int = 0
    ) -> OutColumn:
        """Make an output column with a fresh id."""
        self.last_id += 1
        return OutColumn(self.last_id, name, type_, table_oid, attnum)

    def new_cte_id(self) -> int:
        self.last_cte += 1
        return self.last_cte

    def sees(self, relation_id: int, attnum: int) -> bool:
        """Tell whether a column was there when the view that is being bound was made."""
        return attnum < self.widths.get(relation_id, attnum + 1)

    def enter_view(self) -> None:
        """Count one more nested view. Raises: StatementTooComplex."""
        self.view_depth += 1
        if self.view_depth > VIEW_DEPTH_MAX:
            raise StatementTooComplex("views are nested too deeply")

    def leave_view(self) -> None:
        self.view_depth -= 1
