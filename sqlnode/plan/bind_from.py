"""FROM: tables, views, CTEs, subqueries, functions and joins to plans and scope items.

**Model.** Items become visible to LATERAL as they are bound, left to right. A join's ON sees only
the join's own items.

**Source.** PostgreSQL, parse_clause.c transformFromClauseItem; parse_relation.c.
"""

from dataclasses import dataclass

from pgwire.errors import (
    AmbiguousColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    SqlError,
    UndefinedColumn,
    UndefinedTable,
)
from sqlnode.catalog.descriptors import TableDesc, ViewDesc
from sqlnode.catalog.virtual import VirtualRelation, find_virtual
from sqlnode.parse.query_syntax import Alias, FromItem, FunctionRef, JoinRef, SubqueryRef, TableRef
from sqlnode.parse.syntax import FunctionCall
from sqlnode.plan.array_access import unnest_together
from sqlnode.plan.coerce import coerce_to_boolean
from sqlnode.plan.common_type import coerce_all
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.find_function import find_function
from sqlnode.plan.logical import (
    CteScan,
    FunctionScan,
    Join,
    OutColumn,
    Plan,
    Scan,
    SingleRow,
    VirtualScan,
)
from sqlnode.plan.operators import bind_operator, call_function
from sqlnode.plan.query_result import trim
from sqlnode.plan.rewrite import referenced_ids
from sqlnode.plan.scalar import And, Call, Coalesce, ColumnRef, Scalar
from sqlnode.plan.scope import Scope, ScopeColumn, ScopeItem, check_aliases
from sqlnode.types import INT8, RECORD, SqlType


@dataclass(slots=True)
class FromResult:
    """A bound FROM item: its plan, the scope items below it, and what * gives for it."""

    plan: Plan
    items: list[ScopeItem]
    star: list[ScopeColumn]
    lateral: bool = False


def bind_from_list(env: Env, scope: Scope, items: tuple[FromItem, ...]) -> Plan:
    """Bind a FROM clause into `scope`; without items the plan is a single row."""
    plan: Plan | None = None
    for item in items:
        before = set(scope.ids)
        result = bind_from_item(env, scope, item)
        scope.star.extend(result.star)
        if plan is None:
            plan = result.plan
        else:
            lateral = result.lateral and not before.isdisjoint(referenced_ids(result.plan))
            plan = Join("cross", plan, result.plan, None, lateral)
    check_aliases(scope.items)
    return plan if plan is not None else SingleRow()


def bind_from_item(env: Env, scope: Scope, item: FromItem) -> FromResult:
    """Bind one item and add it to `scope`."""
    if isinstance(item, JoinRef):
        return _join(env, scope, item)
    if isinstance(item, TableRef):
        result = _table(env, scope, item)
    elif isinstance(item, SubqueryRef):
        result = _subquery(env, scope, item)
    else:
        result = _function(env, scope, item)
    for scope_item in result.items:
        scope.items.append(scope_item)
        scope.own(scope_item)
    return result


def _result(plan: Plan, item: ScopeItem, *, lateral: bool = False) -> FromResult:
    return FromResult(plan, [item], list(item.columns), lateral)


def _rename(columns: list[ScopeColumn], alias: Alias | None, table: str) -> None:
    """Apply the column names of an alias. Raises: InvalidColumnReference."""
    if alias is None or not alias.columns:
        return
    if len(alias.columns) > len(columns):
        raise InvalidColumnReference(
            f'table "{table}" has {len(columns)} columns available but {len(alias.columns)} '
            "columns specified"
        )
    for column, name in zip(columns, alias.columns, strict=False):
        column.name = name


# Relations


def _table(env: Env, scope: Scope, ref: TableRef) -> FromResult:
    name, schema = ref.name[-1], ref.name[-2] if len(ref.name) > 1 else None
    if schema is None and (cte := scope.find_cte(name)) is not None:
        return _cte_scan(env, ref, cte)
    virtual = find_virtual(name, schema, env.search_path)
    if virtual is not None:
        return _virtual(env, ref, virtual)
    relation = env.catalog.find_relation(name, schema, env.search_path)
    if isinstance(relation, TableDesc):
        return scan_table(env, ref, relation)
    if isinstance(relation, ViewDesc):
        return _view(env, ref, relation)
    if relation is None:
        raise no_relation(ref)
    raise FeatureNotSupported(
        f'reading sequence "{name}" as a table is not supported', position=ref.position
    )


def no_relation(ref: TableRef) -> SqlError:
    """Build the error for a table that does not exist."""
    return UndefinedTable(f'relation "{".".join(ref.name)}" does not exist', position=ref.position)


def _item(env: Env, ref: TableRef, columns: list[OutColumn], schema: str | None) -> ScopeItem:
    alias = ref.alias.name if ref.alias is not None else ref.name[-1]
    item = ScopeItem(alias, [ScopeColumn.of(c) for c in columns])
    item.schema = schema if ref.alias is None else None
    _rename(item.columns, ref.alias, alias)
    return item


def _schema_name(env: Env, schema_id: int) -> str | None:
    return next((s.name for s in env.catalog.schemas.values() if s.id == schema_id), None)


def scan_table(
    env: Env, ref: TableRef, table: TableDesc, *, with_hidden: bool = False
) -> FromResult:
    """Bind a stored table; hidden columns are in the plan if wanted, never in the scope."""
    env.relations.add(table.id)
    columns = [
        env.new_column(c.name, c.type, table.id, c.attnum)
        for c in table.columns
        if with_hidden or not c.hidden
    ]
    hidden = {c.attnum for c in table.columns if c.hidden}
    shown = [c for c in columns if c.attnum not in hidden and env.sees(table.id, c.attnum)]
    item = _item(env, ref, shown, _schema_name(env, table.schema_id))
    item.table = table
    item.system = ("tableoid",)
    item.relation_oid = table.id
    return _result(Scan(table, tuple(columns), item.alias or table.name), item)


def _virtual(env: Env, ref: TableRef, relation: VirtualRelation) -> FromResult:
    columns = [
        env.new_column(name, type_, relation.oid, attnum)
        for attnum, (name, type_) in enumerate(relation.columns, 1)
    ]
    item = _item(env, ref, columns, relation.schema)
    item.system = ("tableoid",)
    item.relation_oid = relation.oid
    alias = item.alias or relation.name
    return _result(VirtualScan(relation.qualified_name, tuple(columns), alias), item)


def _view(env: Env, ref: TableRef, view: ViewDesc) -> FromResult:
    from sqlnode.plan.bind_view import bind_view

    env.relations.add(view.id)
    result = bind_view(env, view)
    columns = [
        OutColumn(column.id, desc.name, column.type, view.id, desc.attnum)
        for column, desc in zip(result.columns, view.columns, strict=True)
        if env.sees(view.id, desc.attnum)
    ]
    item = _item(env, ref, columns, _schema_name(env, view.schema_id))
    return _result(result.plan, item)


def _cte_scan(env: Env, ref: TableRef, cte: "CteBinding") -> FromResult:
    columns = [env.new_column(name, type_) for name, type_ in cte.columns]
    item = _item(env, ref, columns, None)
    cte.used = True
    return _result(CteScan(cte.cte_id, tuple(columns)), item)


@dataclass(slots=True)
class CteBinding:
    """What a CTE's name means."""

    cte_id: int
    columns: tuple[tuple[str, SqlType], ...]
    used: bool = False


# Subqueries and functions


def _subquery(env: Env, scope: Scope, ref: SubqueryRef) -> FromResult:
    from sqlnode.plan.bind_query import bind_query

    result = bind_query(env, ref.query, scope if ref.lateral else scope.parent)
    assert ref.alias is not None, "the parser requires it"
    item = ScopeItem(ref.alias.name, [ScopeColumn.of(c) for c in result.columns])
    _rename(item.columns, ref.alias, ref.alias.name)
    return _result(trim(result), item, lateral=ref.lateral)


def _function(env: Env, scope: Scope, ref: FunctionRef) -> FromResult:
    if len(ref.calls) > 1:
        raise FeatureNotSupported(
            "ROWS FROM with several functions is not supported", position=ref.position
        )
    call = ref.calls[0]
    if ref.definitions:
        raise FeatureNotSupported(
            f"a column definition list for {call.name[-1]} is not supported", position=ref.position
        )
    ctx = ExprContext(env, scope, "functions in FROM")
    args = tuple(bind(ctx, arg) for arg in call.args)
    bound = _bound_call(env, call, args)
    alias = ref.alias.name if ref.alias is not None else call.name[-1]
    function = bound.function
    if function.out_types:
        pairs = list(zip(function.out_names, function.out_types, strict=True))
    else:
        own = function.out_names[0] if function.out_names else function.name
        pairs = [(alias if own == function.name else own, bound.type)]
    if ref.ordinality:
        pairs.append(("ordinality", INT8))
    columns = [env.new_column(name, type_) for name, type_ in pairs]
    item = ScopeItem(alias, [ScopeColumn.of(c) for c in columns], is_function=True)
    _rename(item.columns, ref.alias, alias)
    scan = FunctionScan(function, bound.args, tuple(columns), ref.ordinality)
    return _result(scan, item, lateral=True)


def _bound_call(env: Env, call: FunctionCall, args: tuple[Scalar, ...]) -> Call:
    types = tuple(arg.type.bare for arg in args)
    if call.name[-1] == "unnest" and (together := unnest_together(types)) is not None:
        return Call(together, args, RECORD, call.position)
    found = find_function(call.name, types, call.position)
    if found.cast is not None or type(found.entry).__name__ != "Function":
        raise FeatureNotSupported(
            f"{call.name[-1]} in FROM is not supported", position=call.position
        )
    return call_function(env, found.entry, args, found.types, call.position)


# Joins


def _join(env: Env, scope: Scope, ref: JoinRef) -> FromResult:
    left = bind_from_item(env, scope, ref.left)
    left_ids = {i for item in left.items for i in _ids(item)}
    right = bind_from_item(env, scope, ref.right)
    lateral = right.lateral and not left_ids.isdisjoint(referenced_ids(right.plan))
    if lateral and ref.kind in ("right", "full"):
        raise InvalidColumnReference(
            "invalid reference to FROM-clause entry",
            detail="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
            position=ref.position,
        )
    check_aliases([*left.items, *right.items])
    names = ref.using
    if ref.natural:
        right_names = {c.name for c in right.star}
        names = tuple(c.name for c in left.star if c.name in right_names)
    star, merged, condition = [*left.star, *right.star], None, None
    if names:
        star, merged, condition = _using(env, ref.kind, left, right, names)
    elif ref.on is not None:
        condition = _on(env, scope, ref, [*left.items, *right.items])
    for side in _nullable_sides(ref.kind, left, right):
        for nullable in side.items:
            nullable.system = ()  # tableoid would be NULL there at times
    kind = ref.kind
    if kind == "inner" and condition is None:
        kind = "cross"
    plan = Join(kind, left.plan, right.plan, condition, lateral)
    items = [*left.items, *right.items]
    if merged is not None:
        item = ScopeItem(None, merged)
        scope.items.append(item)
        items.append(item)
    if ref.alias is not None:
        return _aliased(scope, plan, ref.alias, items, star)
    return FromResult(plan, items, star, left.lateral or right.lateral)


def _nullable_sides(kind: str, left: FromResult, right: FromResult) -> list[FromResult]:
    return [
        side
        for side, kinds in ((left, ("right", "full")), (right, ("left", "full")))
        if kind in kinds
    ]


def _ids(item: ScopeItem) -> list[int]:
    return [c.scalar.id for c in item.columns if isinstance(c.scalar, ColumnRef)]


def _on(env: Env, scope: Scope, ref: JoinRef, items: list[ScopeItem]) -> Scalar:
    assert ref.on is not None, "the caller looked"
    inner = Scope(scope.parent, items, ids=scope.ids)
    ctx = ExprContext(env, inner, "JOIN conditions")
    return coerce_to_boolean(env, bind(ctx, ref.on), "JOIN/ON", ref.position)


def _aliased(
    scope: Scope, plan: Plan, alias: Alias, items: list[ScopeItem], star: list[ScopeColumn]
) -> FromResult:
    """Hide what is behind a join's alias and show its columns under it."""
    for item in items:
        item.hidden = True
    columns = [ScopeColumn(c.name, c.scalar, c.table_oid, c.attnum) for c in star]
    item = ScopeItem(alias.name, columns)
    _rename(item.columns, alias, alias.name)
    scope.items.append(item)
    return FromResult(plan, [*items, item], list(item.columns))


def _using(
    env: Env, kind: str, left: FromResult, right: FromResult, names: tuple[str, ...]
) -> tuple[list[ScopeColumn], list[ScopeColumn], Scalar]:
    merged: list[ScopeColumn] = []
    conditions: list[Scalar] = []
    gone: set[int] = set()
    for name in names:
        a, b = _using_column(left, name, "left"), _using_column(right, name, "right")
        conditions.append(bind_operator(env, "=", a.scalar, b.scalar, None))
        merged.append(_merge(env, kind, name, a, b))
        for column in (a, b):
            column.unqualified = False
            gone.add(id(column))
    star = [*merged, *(c for c in (*left.star, *right.star) if id(c) not in gone)]
    condition = conditions[0] if len(conditions) == 1 else And(tuple(conditions))
    return star, merged, condition


def _using_column(side: FromResult, name: str, which: str) -> ScopeColumn:
    found = [c for c in side.star if c.name == name]
    if not found:
        raise UndefinedColumn(
            f'column "{name}" specified in USING clause does not exist in {which} table'
        )
    if len(found) > 1:
        raise AmbiguousColumn(
            f'common column name "{name}" appears more than once in {which} table'
        )
    return found[0]


def _merge(env: Env, kind: str, name: str, a: ScopeColumn, b: ScopeColumn) -> ScopeColumn:
    (left, right), common = coerce_all(env, (a.scalar, b.scalar), "JOIN/USING")
    if kind == "full":
        return ScopeColumn(name, Coalesce((left, right), common))
    takes_right = kind == "right"
    if kind == "inner":  # PostgreSQL takes the side that needs no conversion
        takes_right = not isinstance(left, ColumnRef) and isinstance(right, ColumnRef)
    chosen, origin = (right, b) if takes_right else (left, a)
    return ScopeColumn(name, chosen, origin.table_oid, origin.attnum)
