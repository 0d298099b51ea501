"""From a statement's text to something that runs: parse, bind, choose an executor.

**Model.** `read_statements` splits and checks grammar; it knows no catalog. `make_plan` binds
against one catalog and compiles: rowexec where the plan has an OLTP shape, vecexec otherwise. A
plan is immutable and may be run by any number of sessions.
"""

import logging
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from pgwire.codecs.registry import REG_TYPES
from pgwire.errors import SqlError, SqlSyntaxError, UndefinedObject
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.parse.normalize import Normalized, normalize
from sqlnode.parse.statement import ParsedStatement, StatementText, parse, split
from sqlnode.parse.syntax import ParamRef
from sqlnode.parse.utility import (
    Begin,
    Commit,
    Explain,
    FetchCursor,
    Rollback,
    RollbackToSavepoint,
    ShowVariable,
)
from sqlnode.plan.bind import bind_statement
from sqlnode.plan.env import BindSession
from sqlnode.plan.literals import at_position, literal_datum
from sqlnode.plan.logical import Columns, LockRows, OutColumn, Scan
from sqlnode.plan.rewrite import every_node
from sqlnode.plan.statement import Bound, Query, Utility
from sqlnode.plan_cache import LruCache, PlanEnv
from sqlnode.rowexec.dml import compile_dml
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import Executable, compile_query
from sqlnode.session.parameter_table import PARAMETERS
from sqlnode.types import TEXT, TYPES, SqlType
from sqlnode.vecexec.query import compile_query as compile_wide

_log = logging.getLogger(__name__)

# Literals whose meaning moves with time: a plan that has read one cannot be kept.
_MOVING: Final = re.compile(r"'\s*(?:now|today|tomorrow|yesterday|allballs)", re.IGNORECASE)
_CACHED_TEXT_MAX: Final = 32_768  # characters; longer texts are planned anew each time


class PlanKind(Enum):
    """How a plan is run."""

    EMPTY = "empty"
    QUERY = "query"
    CHANGE = "change"
    UTILITY = "utility"


class Statement:
    """One statement as read: its grammar is right, its names are not looked up yet."""

    __slots__ = ("_parsed", "cache_key", "is_cacheable", "normalized", "offset", "text")

    def __init__(
        self,
        text: str,
        parsed: ParsedStatement | None = None,
        *,
        offset: int = 0,
        normalized: Normalized | None = None,
        is_cacheable: bool = False,
    ) -> None:
        """Without `parsed` the text is known to be a right query or data change, or empty."""
        self.text = text
        self.offset = offset  # of its first character in the query string
        self.normalized = normalized
        self.cache_key = _key(text, normalized)
        self.is_cacheable = is_cacheable
        self._parsed = parsed

    @property
    def parsed(self) -> ParsedStatement | None:
        """The parsed statement; None: there is only white space."""
        if self._parsed is None and self.text:
            self._parsed = parse(self.text, _lifted(self.normalized))
        return self._parsed

    @property
    def command(self) -> Any:
        """The utility node, None for queries and data changes."""
        parsed = self._parsed
        return None if parsed is None or parsed.is_planned else parsed.tree

    @property
    def tree(self) -> Any:
        """The syntax tree or utility node."""
        return None if self.parsed is None else self.parsed.tree

    @property
    def literal_types(self) -> tuple[SqlType | None, ...]:
        """Types of the literals that became parameters; None: untyped text."""
        return () if self.normalized is None else self.normalized.types

    @property
    def ends_failed_block(self) -> bool:
        """True if a failed transaction block accepts it."""
        return not self.text or isinstance(self.command, Commit | Rollback | RollbackToSavepoint)

    @property
    def is_transactional(self) -> bool:
        """True for the commands that begin and end transactions themselves."""
        return isinstance(self.command, _TRANSACTIONAL)


_TRANSACTIONAL: Final = (Begin, Commit, Rollback)
EMPTY_STATEMENT: Final = Statement("")


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
    description: bytes = b""  # RowDescription in text format, once it was asked for
    column_oids: tuple[int, ...] = field(init=False)
    reg_columns: tuple[tuple[int, int], ...] = field(init=False)  # (position, type) of reg* types
    relations: frozenset[int] = frozenset()  # ids of the tables it reads or writes

    def __post_init__(self) -> None:
        self.column_oids = tuple(column.type.oid for column in self.columns)
        self.reg_columns = tuple(
            (n, oid) for n, oid in enumerate(self.column_oids) if oid in REG_TYPES
        )


_known_texts: Final[LruCache[bool]] = LruCache(4_000)
"""Fingerprints of queries and data changes whose grammar was checked. Grammar knows no tenant."""


def read_statements(text: str, *, is_extended: bool = False) -> list[Statement]:
    """Split a query string and check the grammar of every statement. Raises: SqlError.

    Literals of a simple query become parameters, so that like statements share a plan.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if is_extended and _known_texts.get(text):
        return [Statement(text, is_cacheable=_is_cacheable(text))]
    pieces = split(text)
    try:
        return [_read(piece, None if is_extended else normalize(piece.text)) for piece in pieces]
    except SqlSyntaxError as error:
        raise _at_semicolon(error, text) from None


def _at_semicolon(error: SqlSyntaxError, text: str) -> SqlSyntaxError:
    """Return the error as if the semicolon had been part of the statement."""
    at = (error.position or 0) - 1
    if error.message != "syntax error at end of input" or at < 0:
        return error
    rest = text[at:].lstrip()
    if not rest.startswith(";"):
        return error
    position = len(text) - len(rest) + 1
    return SqlSyntaxError('syntax error at or near ";"', position=position)


def _key(text: str, normalized: Normalized | None) -> Hashable:
    """Return what like statements share. A tuple: no text can be taken for a fingerprint."""
    if normalized is None or not normalized.literals:
        return text
    return (normalized.fingerprint,)


def _lifted(normalized: Normalized | None) -> Mapping[int, int]:
    return {} if normalized is None else normalized.lifted


def _read(piece: StatementText, normalized: Normalized | None) -> Statement:
    text = piece.text
    is_cacheable = _is_cacheable(text)
    key = _key(text, normalized)
    if is_cacheable and _known_texts.get(key):
        return Statement(
            text, offset=piece.offset, normalized=normalized, is_cacheable=is_cacheable
        )
    try:
        parsed = parse(text, _lifted(normalized))
    except SqlError as error:
        if error.position is not None:
            error.position += piece.offset
        raise
    literal_count = 0 if normalized is None else len(normalized.literals)
    if literal_count and _lifted_count(parsed.tree) != literal_count:
        # A lifted literal that stayed in the tree would become every like statement's. A bug, but
        # one that must cost speed and not data.
        _log.error("literals_not_lifted", extra={"literal_count": literal_count})
        parsed, normalized, key = parse(text), None, text
    is_cacheable = is_cacheable and parsed.is_planned
    if is_cacheable:
        _known_texts.put(key, True)
    return Statement(
        text,
        parsed,
        offset=piece.offset,
        normalized=normalized if parsed.is_planned else None,
        is_cacheable=is_cacheable,
    )


def _lifted_count(tree: Any) -> int:
    """Count the parameters in a syntax tree."""
    found: set[int] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ParamRef):
            found.add(node.index)
        elif isinstance(node, msgspec.Struct):
            pending += [getattr(node, name) for name in node.__struct_fields__]
        elif isinstance(node, tuple):
            pending += node
    return len(found)


def _is_cacheable(text: str) -> bool:
    return len(text) <= _CACHED_TEXT_MAX and _MOVING.search(text) is None


def statement_of_tree(tree: Any, text: str) -> Statement:
    """Return the statement of a tree that stands inside another statement."""
    return Statement(text, ParsedStatement("", tree, text, is_planned=True))


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
        is_read_only = not _locks_rows(bound)
        return Plan(
            PlanKind.QUERY,
            "SELECT",
            text,
            bound,
            bound.columns,
            param_types,
            executable,
            is_read_only=is_read_only,
            relations=_tables(bound),
        )
    assert not isinstance(bound, Utility), "utilities are not compiled"
    tag = {"Insert": "INSERT 0", "Update": "UPDATE", "Delete": "DELETE"}[type(bound).__name__]
    change = compile_dml(bound, catalog, compile_wide)
    return Plan(
        PlanKind.CHANGE,
        tag,
        text,
        bound,
        bound.columns,
        param_types,
        change,
        relations=_tables(bound) | _tied_by_keys(bound.table.id, catalog),
    )


def _tables(bound: Bound) -> frozenset[int]:
    roots: list[Any] = []
    found: set[int] = set()
    if isinstance(bound, Query):
        roots = [bound.plan]
    elif not isinstance(bound, Utility):
        found.add(bound.table.id)
        roots = [bound.source, *(scalar for _, scalar in getattr(bound, "assignments", ()))]
    for root in roots:
        found |= {node.table.id for node in every_node(root) if isinstance(node, Scan)}
    return frozenset(found)


def _tied_by_keys(table_id: int, catalog: Catalog) -> frozenset[int]:
    """Return the tables that foreign keys tie to a table, directly or through others."""
    found, pending = {table_id}, [table_id]
    while pending:
        table = catalog.by_id.get(pending.pop())
        if not isinstance(table, TableDesc):
            continue
        targets = {key.target_table_id for key in table.foreign_keys}
        sources = {child.id for child in catalog.referencing.get(table.id, ())}
        fresh = (targets | sources) - found
        found |= fresh
        pending += fresh
    return frozenset(found)


def compile_rows(bound: Query, catalog: Catalog) -> Executable:
    """Compile a query for the executor that suits it."""
    try:
        return compile_query(bound, catalog, lambda: compile_wide(bound))
    except NotRowShape:
        return compile_wide(bound)


def _locks_rows(bound: Query) -> bool:
    return any(isinstance(node, LockRows) for node in every_node(bound.plan))


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
        case Explain():
            return (OutColumn(1, "QUERY PLAN", TEXT),)
        case FetchCursor():
            return ()  # its cursor's; known when it runs
    return ()
