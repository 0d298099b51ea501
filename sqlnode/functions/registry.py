"""The registry: what functions, operators, casts and aggregates mean to both executors.

**Model.** One entry per PostgreSQL signature holds the three things that must agree: the types, a
Python callable over datums (rowexec), and a DuckDB text template (vecexec). Where a template is
None, vecexec wraps the Python callable as a DuckDB scalar function, so whatever rowexec can do
vecexec can too, only slower. A template is given only where DuckDB's answer is equal, errors
included.

Operators are functions found through `OPERATORS`, as in PostgreSQL: `a + b` over int4 is int4pl(a,
b).

**Source.** pg_proc.dat, pg_operator.dat, pg_cast.dat, pg_aggregate.dat of PostgreSQL 15.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlnode.types import SqlType


class Volatility(enum.StrEnum):
    """May a call be folded: for ever, within one statement, or never."""

    IMMUTABLE = "i"
    STABLE = "s"
    VOLATILE = "v"


@dataclass(frozen=True, slots=True)
class Function:
    """One signature of a scalar or set-returning function."""

    name: str  # pg_proc.proname
    arguments: tuple[SqlType, ...]
    result: SqlType
    python: (
        Callable[..., Any] | None
    )  # over datums; first argument is the ExecContext if needs_context
    duck: str | None = None  # "({0} + {1})": DuckDB text over the arguments' texts
    strict: bool = True  # NULL in, NULL out, without a call
    volatility: Volatility = Volatility.IMMUTABLE
    needs_context: bool = False
    returns_set: bool = False  # python returns an iterable of datums
    variadic: bool = False  # the last argument type repeats, zero or more times
    out_names: tuple[str, ...] = ()  # of a record-returning set function
    out_types: tuple[SqlType, ...] = ()
    is_async: bool = False  # python is a coroutine function: nextval and its kin
    oid: int = 0
    defaults: int = 0  # how many trailing arguments may be left out (python supplies them)
    # Set where the work depends on the actual argument types (to_json(anyelement), concat("any")):
    # the binder calls it with them and puts the function it returns into the Call.
    specialize: "Callable[[tuple[SqlType, ...]], Function] | None" = None


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator: its symbol and the function behind it. left is None for prefix operators."""

    symbol: str
    left: SqlType | None
    right: SqlType
    function: Function
    commutator: str | None = None
    negator: str | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One signature of an aggregate; `python` makes a fresh accumulator.

    Accumulator protocol: `step(*datums)`, `final() -> datum`. Strictness is the accumulator's own.
    `duck` is a template over the arguments' texts, without DISTINCT/ORDER BY/FILTER, which vecexec
    adds at `{mods}`: "sum({distinct}{0}{order}){filter}". None: not available in vecexec (0A000)
    unless `duck_list_final` is given.
    """

    name: str
    arguments: tuple[SqlType, ...]
    result: SqlType
    python: Callable[..., Any]
    duck: str | None = None
    duck_list: bool = (
        False  # vecexec collects list(arg) and applies the Python accumulator as a scalar function
    )
    # percentile_cont(…) WITHIN GROUP (ORDER BY …): the arguments are the direct ones, then the
    # ordered ones; step() gets both, in sort order.
    ordered_set: bool = False
    variadic: bool = False
    needs_context: bool = False  # python(ctx) makes the accumulator
    specialize: "Callable[[tuple[SqlType, ...]], Aggregate] | None" = None  # as in Function
    oid: int = 0


@dataclass(frozen=True, slots=True)
class WindowFunction:
    """A pure window function: row_number, rank, lag and their kin."""

    name: str
    arguments: tuple[SqlType, ...]
    result: SqlType
    duck: str
    defaults: int = 0
    oid: int = 0


class CastContext(enum.IntEnum):
    """Where a cast may happen by itself; an implicit one may be used everywhere."""

    EXPLICIT = 0
    ASSIGNMENT = 1
    IMPLICIT = 2


@dataclass(frozen=True, slots=True)
class CastRule:
    """How a value of one type becomes another; function None means binary coercible."""

    source: SqlType
    target: SqlType
    context: CastContext
    function: Function | None


@dataclass(slots=True)
class Registry:
    """All entries by name; filled by this package's modules at import, then read-only."""

    functions: dict[str, list[Function]] = field(default_factory=dict)
    operators: dict[str, list[Operator]] = field(default_factory=dict)
    aggregates: dict[str, list[Aggregate]] = field(default_factory=dict)
    window_functions: dict[str, list[WindowFunction]] = field(default_factory=dict)
    casts: dict[tuple[int, int], CastRule] = field(default_factory=dict)

    def add_function(self, function: Function) -> Function:
        self.functions.setdefault(function.name, []).append(function)
        return function

    def add_operator(self, operator: Operator) -> Operator:
        self.operators.setdefault(operator.symbol, []).append(operator)
        return operator

    def add_aggregate(self, aggregate: Aggregate) -> None:
        self.aggregates.setdefault(aggregate.name, []).append(aggregate)

    def add_window_function(self, function: WindowFunction) -> None:
        self.window_functions.setdefault(function.name, []).append(function)

    def add_cast(self, rule: CastRule) -> None:
        self.casts[rule.source.oid, rule.target.oid] = rule


REGISTRY: Final = Registry()
