"""From a statement to something that runs: bind, choose an executor.

**Model.** `make_plan` binds a statement (statements.py) against one catalog and compiles it:
rowexec where the plan has an OLTP shape, vecexec otherwise. Any number of sessions may run a plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pgwire.codecs.registry import REG_TYPES
from pgwire.errors import SqlError, UndefinedObject
from sqlnode.catalog.snapshot import Catalog
from sqlnode.jobs.job_rows import JOB_COLUMNS
from sqlnode.locking_first import LockingChange, LockingQuery, locks_inside
from sqlnode.parse.statement import ParsedStatement
from sqlnode.parse.utility import (
    Begin,
    Commit,
    Explain,
    FetchCursor,
    Rollback,
    ShowJobs,
    ShowVariable,
)
from sqlnode.plan.bind import bind_statement
from sqlnode.plan.env import BindSession
from sqlnode.plan.literals import at_position, literal_datum
from sqlnode.plan.logical import Columns, OutColumn
from sqlnode.plan.statement import Bound, Query, Utility
from sqlnode.plan_cache import PlanEnv
from sqlnode.rowexec.dml import compile_dml
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import Executable, compile_query
from sqlnode.session.parameter_table import PARAMETERS
from sqlnode.statements import Statement
from sqlnode.types import TEXT, TYPES, SqlType
from sqlnode.vecexec.query import compile_query as compile_wide


class PlanKind(Enum):
    """How a plan is run."""

    EMPTY = "empty"
    QUERY = "query"
    CHANGE = "change"
    UTILITY = "utility"


@dataclass(slots=True, eq=False)
class Plan:
    """A statement ready to run."""

    kind: PlanKind
    tag: str  # of CommandComplete, row count left out
    text: str
    bound: Bound | None
    columns: Columns
    param_types: tuple[SqlType, ...]  # the client's; literals come after them
    executable: Any = None
    is_read_only: bool = False
    is_transactional: bool = False
    literal_types: tuple[SqlType, ...] = ()
    descriptions: dict[tuple[int, ...], bytes] = field(default_factory=dict)  # see session/describe
    column_oids: tuple[int, ...] = field(init=False)
    reg_columns: tuple[tuple[int, int], ...] = field(init=False)  # (position, type) of reg* types
    relations: frozenset[int] = frozenset()  # ids of the tables and views it uses
    stats: Any = None  # its entry in statement_stats.py
    returns_rows: bool = field(init=False)  # a query does, even one without columns

    def __post_init__(self) -> None:
        self.returns_rows = self.kind is PlanKind.QUERY or bool(self.columns)
        self.column_oids = tuple(column.type.oid for column in self.columns)
        self.reg_columns = tuple(
            (n, oid) for n, oid in enumerate(self.column_oids) if oid in REG_TYPES
        )


def make_plan(statement: Statement, env: PlanEnv, declared: tuple[int, ...]) -> Plan:
    """Bind and compile a statement. Raises: SqlError."""
    parsed = statement.parsed
    if parsed is None:
        return Plan(PlanKind.EMPTY, "", "", None, (), (), is_read_only=True)
    if not parsed.is_planned:
        return _utility_plan(parsed)
    types: list[SqlType | None] = [_declared_type(oid) for oid in declared]
    types += statement.literal_types
    done = bind_statement(
        parsed.tree,
        text=parsed.text,
        catalog=env.catalog,
        search_path=env.search_path,
        param_types=types,
        session=BindSession(env.settings),
    )
    own = len(done.param_types) - len(statement.literal_types)
    plan = compile_plan(done.bound, done.param_types[:own], parsed.text, env.catalog)
    plan.literal_types = done.param_types[own:]
    plan.relations |= done.relations
    return plan


def literal_params(statement: Statement, plan: Plan, env: PlanEnv) -> Sequence[Any]:
    """Return a statement's lifted literals as the plan's parameters. Raises: SqlError."""
    normalized = statement.normalized
    if normalized is None or not normalized.literals:
        return ()
    if None not in normalized.types:
        return normalized.literals
    params = []
    for index, value in enumerate(normalized.literals):
        if normalized.types[index] is not None:
            params.append(value)
            continue
        try:
            params.append(
                literal_datum(
                    value,
                    plan.literal_types[index],
                    env.settings,
                    env.catalog,
                    env.search_path,
                )
            )
        except SqlError as error:
            starts = normalized.find_starts()
            raise at_position(error, starts[index] + 1) from None
    return params


def _declared_type(oid: int) -> SqlType | None:
    if oid == 0:
        return None
    if oid not in TYPES:
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return SqlType(oid)


def compile_plan(
    bound: Bound, param_types: tuple[SqlType, ...], text: str, catalog: Catalog
) -> Plan:
    """Choose an executor for a bound statement. Raises: SqlError."""
    if isinstance(bound, Query):
        executable = compile_rows(bound, catalog)
        is_read_only = not locks_inside(bound)
        return Plan(
            PlanKind.QUERY,
            "SELECT",
            text,
            bound,
            bound.columns,
            param_types,
            executable,
            is_read_only=is_read_only,
        )
    assert not isinstance(bound, Utility), "utilities are not compiled"
    tag = {"Insert": "INSERT 0", "Update": "UPDATE", "Delete": "DELETE"}[type(bound).__name__]
    change: Any
    if locks_inside(bound):
        change = LockingChange(
            bound,
            catalog,
            compile_rows,
            lambda settled: compile_dml(settled, catalog, compile_wide),
        )
    else:
        change = compile_dml(bound, catalog, compile_wide)
    return Plan(
        PlanKind.CHANGE,
        tag,
        text,
        bound,
        bound.columns,
        param_types,
        change,
        relations=catalog.tied_by_keys(bound.table.id),
    )


def compile_rows(bound: Query, catalog: Catalog) -> Executable:
    """Compile a query for the executor that suits it."""
    try:
        return compile_query(bound, catalog, lambda: compile_wide(bound))
    except NotRowShape:
        if locks_inside(bound):
            return LockingQuery(bound, catalog, compile_rows)
        return compile_wide(bound)


def _utility_plan(parsed: ParsedStatement) -> Plan:
    node = parsed.tree
    return Plan(
        PlanKind.UTILITY,
        parsed.kind,
        parsed.text,
        Utility(parsed.kind, node, parsed.text),
        utility_columns(node),
        (),
        is_read_only=not parsed.is_ddl,
        is_transactional=isinstance(node, Begin | Commit | Rollback),
    )


def utility_columns(node: Any) -> Columns:
    """Return the columns of a utility statement that are known before it runs."""
    match node:
        case ShowVariable(name=None):
            return tuple(
                OutColumn(n, name, TEXT)
                for n, name in enumerate(("name", "setting", "description"), 1)
            )
        case ShowVariable(name=str() as name):
            known = PARAMETERS.get(name)
            return (OutColumn(1, name if known is None else known.name, TEXT),)
        case ShowJobs():
            return JOB_COLUMNS
        case Explain():
            return (OutColumn(1, "QUERY PLAN", TEXT),)
        case FetchCursor():
            return ()  # its cursor's; known when it runs
    return ()
