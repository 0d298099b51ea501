"""Syntax trees of queries and data changes."""

from typing import TypeAlias

from sqlnode.parse.syntax import Expr, FunctionCall, Node, SortItem, TypeName, WindowSpec


class Target(Node, frozen=True):
    """One SELECT or RETURNING item."""

    expr: Expr
    alias: str | None = None
    position: int = 0


class Alias(Node, frozen=True):
    """AS name (columns)."""

    name: str
    columns: tuple[str, ...] = ()


class TableRef(Node, frozen=True):
    """A named relation in FROM, or the target of a data change."""

    name: tuple[str, ...]
    alias: Alias | None = None
    position: int = 0


class SubqueryRef(Node, frozen=True):
    """(query) AS alias."""

    query: "Query"
    alias: Alias | None = None
    lateral: bool = False
    position: int = 0


class FunctionRef(Node, frozen=True):
    """f(…) in FROM; more than one call: ROWS FROM. definitions: AS (a int, b text)."""

    calls: tuple[FunctionCall, ...]
    alias: Alias | None = None
    ordinality: bool = False
    lateral: bool = False
    definitions: tuple[tuple[str, TypeName], ...] = ()
    position: int = 0


class JoinRef(Node, frozen=True):
    """kind: inner | left | right | full | cross."""

    kind: str
    left: "FromItem"
    right: "FromItem"
    on: Expr | None = None
    using: tuple[str, ...] = ()
    natural: bool = False
    alias: Alias | None = None
    position: int = 0


FromItem: TypeAlias = TableRef | SubqueryRef | FunctionRef | JoinRef


class GroupItem(Node, frozen=True):
    """kind: expr | empty | rollup | cube | sets.

    `exprs` has one list for expr, any number for rollup and cube; `items` is for sets.
    """

    kind: str
    exprs: tuple[tuple[Expr, ...], ...] = ()
    items: tuple["GroupItem", ...] = ()
    position: int = 0


class PastTime(Node, frozen=True):
    """AS OF SYSTEM TIME expr; `text` is the expression's."""

    expr: Expr
    text: str
    position: int = 0


class SelectCore(Node, frozen=True):
    """distinct: None no, () DISTINCT, (…) DISTINCT ON."""

    targets: tuple[Target, ...]
    distinct: tuple[Expr, ...] | None = None
    from_: tuple[FromItem, ...] = ()
    where: Expr | None = None
    group_by: tuple[GroupItem, ...] = ()
    group_distinct: bool = False
    having: Expr | None = None
    windows: tuple[WindowSpec, ...] = ()
    position: int = 0
    as_of: PastTime | None = None


class ValuesCore(Node, frozen=True):
    """VALUES rows."""

    rows: tuple[tuple[Expr, ...], ...]
    position: int = 0


class SetCore(Node, frozen=True):
    """kind: union | intersect | except."""

    kind: str
    all: bool
    left: "Query"
    right: "Query"
    position: int = 0


class Locking(Node, frozen=True):
    """FOR strength [OF tables] [NOWAIT | SKIP LOCKED]; wait: block | nowait | skip."""

    strength: str
    wait: str = "block"
    tables: tuple[str, ...] = ()
    position: int = 0


class CommonTable(Node, frozen=True):
    """One WITH item."""

    name: str
    query: "Query | InsertSyntax | UpdateSyntax | DeleteSyntax"
    columns: tuple[str, ...] = ()
    materialized: bool | None = None
    position: int = 0


class WithClause(Node, frozen=True):
    """WITH and its items."""

    items: tuple[CommonTable, ...]
    recursive: bool = False


class Query(Node, frozen=True):
    """A query with everything that may follow its body."""

    body: SelectCore | ValuesCore | SetCore
    with_: WithClause | None = None
    order_by: tuple[SortItem, ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None
    with_ties: bool = False
    locking: tuple[Locking, ...] = ()
    position: int = 0


class ColumnTarget(Node, frozen=True):
    """A column of INSERT (…) or SET."""

    name: str
    position: int = 0


class SetClause(Node, frozen=True):
    """column = value, or (columns) = row or query."""

    columns: tuple[ColumnTarget, ...]
    value: Expr
    is_row: bool = False
    position: int = 0


class ConflictClause(Node, frozen=True):
    """ON CONFLICT [(exprs) [WHERE] | ON CONSTRAINT name] DO NOTHING | UPDATE SET … [WHERE …]."""

    exprs: tuple[Expr, ...] = ()
    arbiter_where: Expr | None = None
    constraint: str | None = None
    sets: tuple[SetClause, ...] | None = None
    where: Expr | None = None
    position: int = 0


class InsertSyntax(Node, frozen=True):
    """source None: DEFAULT VALUES. columns None: not given."""

    target: TableRef
    columns: tuple[ColumnTarget, ...] | None
    source: Query | None
    overriding: str = ""
    conflict: ConflictClause | None = None
    returning: tuple[Target, ...] = ()
    with_: WithClause | None = None
    position: int = 0


class UpdateSyntax(Node, frozen=True):
    """UPDATE."""

    target: TableRef
    sets: tuple[SetClause, ...]
    from_: tuple[FromItem, ...] = ()
    where: Expr | None = None
    returning: tuple[Target, ...] = ()
    with_: WithClause | None = None
    position: int = 0


class DeleteSyntax(Node, frozen=True):
    """DELETE."""

    target: TableRef
    using: tuple[FromItem, ...] = ()
    where: Expr | None = None
    returning: tuple[Target, ...] = ()
    with_: WithClause | None = None
    position: int = 0


Planned: TypeAlias = Query | InsertSyntax | UpdateSyntax | DeleteSyntax
