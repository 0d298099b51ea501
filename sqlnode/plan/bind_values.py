"""Binding of constants, parameters, columns, operators, casts, CASE and its kin.

**Source.** PostgreSQL, parse_expr.c.
"""

from typing import Final

from pgwire.errors import (
    CannotCoerce,
    DatatypeMismatch,
    FeatureNotSupported,
    IndeterminateDatatype,
    SqlSyntaxError,
    UndefinedObject,
)
from sqlnode.functions.registry import REGISTRY, CastContext
from sqlnode.parse.syntax import (
    ArrayOf,
    CaseWhen,
    CastTo,
    CollateTo,
    ColumnName,
    Expr,
    FieldSelect,
    Literal,
    Logical,
    Operation,
    ParamRef,
    RowOf,
    SetDefault,
    SpecialCall,
    SqlValue,
    Star,
    Subscript,
)
from sqlnode.parse.type_names import resolve_type
from sqlnode.plan.array_access import subscript_function
from sqlnode.plan.coerce import (
    apply_typmod,
    cast_explicitly,
    coerce,
    coerce_to_boolean,
    resolve_unknown,
)
from sqlnode.plan.common_type import coerce_all, coerce_common, select_common_type
from sqlnode.plan.expr import ExprContext, bind, binds
from sqlnode.plan.literals import number
from sqlnode.plan.operators import bind_operator, find_operator
from sqlnode.plan.scalar import (
    And,
    ArrayItems,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    Const,
    MinMax,
    Not,
    NullIf,
    Or,
    RowItems,
    Scalar,
)
from sqlnode.types import (
    BOOL,
    INT4,
    OID,
    RECORD,
    UNKNOWN,
    SqlType,
    array_of,
    element_of,
    format_type,
)

_COLLATIONS: Final = frozenset({"default", "C", "POSIX", "ucs_basic", "C.UTF-8", "pg_c_utf8"})
_SYSTEM_COLUMNS: Final = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})
# Key words that are calls; CURRENT_TIME is absent, as type timetz is.
_VALUE_FUNCTIONS: Final = {
    "current_timestamp": "current_timestamp",
    "localtimestamp": "localtimestamp",
    "current_date": "current_date",
    "localtime": "localtime",
    "current_user": "current_user",
    "current_role": "current_role",
    "user": "user",
    "session_user": "session_user",
    "current_catalog": "current_catalog",
}


@binds(Literal)
def _literal(ctx: ExprContext, node: Literal) -> Scalar:
    if node.kind == "string":
        return ctx.env.literal(Const(node.value, UNKNOWN), node.position)
    if node.kind in ("integer", "numeric"):
        return number(node.value)
    if node.kind == "bool":
        return Const(node.value, BOOL)
    return Const(None, UNKNOWN)


@binds(ParamRef)
def _param(ctx: ExprContext, node: ParamRef) -> Scalar:
    return ctx.env.params.reference(node.index, node.position)


@binds(SetDefault)
def _default(ctx: ExprContext, node: SetDefault) -> Scalar:
    raise SqlSyntaxError("DEFAULT is not allowed in this context", position=node.position)


@binds(Star)
def _star(ctx: ExprContext, node: Star) -> Scalar:
    if node.parts:
        raise FeatureNotSupported(
            f'whole-row reference to "{node.parts[-1]}" is not supported', position=node.position
        )
    raise SqlSyntaxError('syntax error at or near "*"', position=node.position)


@binds(ColumnName)
def _column(ctx: ExprContext, node: ColumnName) -> Scalar:
    parts, position = node.parts, node.position
    if len(parts) == 1:
        return _unqualified(ctx, parts[0], position)
    if len(parts) > 4:
        raise SqlSyntaxError(
            f"improper qualified name (too many dotted names): {'.'.join(parts)}",
            position=position,
        )
    schema = parts[-3] if len(parts) > 2 else None
    name, alias = parts[-1], parts[-2]
    item = ctx.scope.item(alias, schema, position)
    if item is None:
        raise ctx.scope.missing_item(alias, position)
    if (found := item.find(name)) is not None:
        return _noted(ctx, found.scalar, position)
    if name in item.system:
        return Const(item.relation_oid, OID)
    if name in _SYSTEM_COLUMNS:
        raise FeatureNotSupported(f"system column {name} is not supported", position=position)
    raise ctx.scope.missing_column(name, alias, position)


def _noted(ctx: ExprContext, scalar: Scalar, position: int) -> Scalar:
    """Remember where a column stands outside aggregates, for the error if it is not grouped."""
    if not ctx.in_aggregate and isinstance(scalar, ColumnRef):
        ctx.env.positions.setdefault(scalar.id, position)
    return scalar


def _unqualified(ctx: ExprContext, name: str, position: int) -> Scalar:
    found = ctx.scope.column(name, position)
    if found is not None:
        return _noted(ctx, found.scalar, position)
    for scope in ctx.scope.levels():
        for item in scope.items:
            if name in item.system:
                return Const(item.relation_oid, OID)
    if ctx.scope.item(name, None, position) is not None:
        raise FeatureNotSupported(
            f'whole-row reference to "{name}" is not supported', position=position
        )
    if name in _SYSTEM_COLUMNS and ctx.scope.items:
        raise FeatureNotSupported(f"system column {name} is not supported", position=position)
    raise ctx.scope.missing_column(name, None, position)


@binds(FieldSelect)
def _field(ctx: ExprContext, node: FieldSelect) -> Scalar:
    raise FeatureNotSupported(
        f'selecting field "{node.field}" of a composite value is not supported',
        position=node.position,
    )


@binds(Operation)
def _operation(ctx: ExprContext, node: Operation) -> Scalar:
    if node.schema not in (None, "pg_catalog"):
        raise UndefinedObject(f'schema "{node.schema}" does not exist', sqlstate="3F000")
    if isinstance(node.left, RowOf) or isinstance(node.right, RowOf):
        from sqlnode.plan.bind_tests import compare_rows

        return compare_rows(ctx, node)
    right = bind(ctx, node.right)
    left = bind(ctx, node.left) if node.left is not None else None
    return bind_operator(ctx.env, node.symbol, left, right, node.position)


@binds(Logical)
def _logical(ctx: ExprContext, node: Logical) -> Scalar:
    word = node.kind.upper()
    args = tuple(
        coerce_to_boolean(ctx.env, bind(ctx, arg), word, _position(arg)) for arg in node.args
    )
    if node.kind == "not":
        return Not(args[0])
    return And(args) if node.kind == "and" else Or(args)


def _position(node: Expr) -> int | None:
    position: int | None = getattr(node, "position", None)
    return position


@binds(CastTo)
def _cast(ctx: ExprContext, node: CastTo) -> Scalar:
    target = resolve_type(node.type)
    element = element_of(target)
    if isinstance(node.arg, ArrayOf) and element is not None:
        return apply_typmod(_array_as(ctx, node.arg, element), target, explicit=True)
    arg = bind(ctx, node.arg)
    at = _position(node.arg) if arg.type.oid == UNKNOWN.oid else node.position
    return cast_explicitly(ctx.env, arg, target, at)


def _array_as(ctx: ExprContext, node: ArrayOf, element: SqlType) -> Scalar:
    """ARRAY[…]::type[]: the items are cast one by one, so that it may be empty."""
    items = tuple(
        _array_as(ctx, item, element)
        if isinstance(item, ArrayOf)
        else cast_explicitly(ctx.env, bind(ctx, item), element.bare, _position(item))
        for item in node.items
    )
    return ArrayItems(items, array_of(element.bare))


@binds(CollateTo)
def _collate(ctx: ExprContext, node: CollateTo) -> Scalar:
    arg = resolve_unknown(ctx.env, bind(ctx, node.arg), _position(node.arg))
    name = node.collation[-1]
    if arg.type.info.category not in ("S", "Z"):
        raise DatatypeMismatch(
            f"collations are not supported by type {format_type(arg.type.bare)}",
            position=node.position,
        )
    if name not in _COLLATIONS:
        raise UndefinedObject(
            f'collation "{name}" for encoding "UTF8" does not exist', position=node.position
        )
    return arg  # every order here is that of collation C


@binds(CaseWhen)
def _case(ctx: ExprContext, node: CaseWhen) -> Scalar:
    arg = node.arg
    compared = None
    if arg is not None and not isinstance(arg, RowOf):
        compared = resolve_unknown(ctx.env, bind(ctx, arg), _position(arg))
    conditions = [_when(ctx, arg, compared, when) for when, _ in node.whens]
    # NB: PostgreSQL puts ELSE first when it looks for the common type.
    default = bind(ctx, node.default) if node.default is not None else Const(None, UNKNOWN)
    results = [bind(ctx, result) for _, result in node.whens]
    done, common = coerce_all(ctx.env, (default, *results), "CASE", node.position)
    return Case(tuple(zip(conditions, done[1:], strict=True)), done[0], common)


def _when(ctx: ExprContext, arg: Expr | None, compared: Scalar | None, when: Expr) -> Scalar:
    if compared is not None:
        return bind_operator(ctx.env, "=", compared, bind(ctx, when), _position(when))
    if arg is not None:
        return bind(ctx, Operation("=", arg, when, _position(when) or 0))
    return coerce_to_boolean(ctx.env, bind(ctx, when), "CASE/WHEN", _position(when))


@binds(SpecialCall)
def _special(ctx: ExprContext, node: SpecialCall) -> Scalar:
    if node.kind == "grouping":
        return _grouping(ctx, node)
    if node.kind == "nullif":
        return _nullif(ctx, node)
    args = [bind(ctx, arg) for arg in node.args]
    done, common = coerce_all(ctx.env, args, node.kind.upper(), node.position)
    if node.kind == "coalesce":
        return Coalesce(done, common)
    less = find_operator("<", common, common, node.position)
    return MinMax(done, less.function, node.kind == "greatest", common)


def _grouping(ctx: ExprContext, node: SpecialCall) -> Scalar:
    collector = ctx.scope.collector
    if collector is None or ctx.clause not in ("SELECT", "HAVING", "ORDER BY"):
        raise FeatureNotSupported(
            f"grouping operations are not allowed in {ctx.clause}",
            position=node.position,
            sqlstate="42803",
        )
    args = tuple(bind(ctx, arg) for arg in node.args)
    return collector.grouping(ctx.env, args, node.position)


def _nullif(ctx: ExprContext, node: SpecialCall) -> Scalar:
    left, right = (bind(ctx, arg) for arg in node.args)
    call = bind_operator(ctx.env, "=", left, right, node.position)
    assert isinstance(call, Call), "= is a function"
    compared, other = call.args  # the result has the type the operator compares
    return NullIf(compared, other, compared, call.function, compared.type)


@binds(SqlValue)
def _sql_value(ctx: ExprContext, node: SqlValue) -> Scalar:
    found = _VALUE_FUNCTIONS.get(node.kind)
    if found is None:
        raise FeatureNotSupported(
            f"{node.kind.upper()} is not supported: type timetz", position=node.position
        )
    args = () if node.precision is None else (Const(min(node.precision, 6), INT4),)
    declared = tuple(arg.type for arg in args)
    for function in REGISTRY.functions.get(found, ()):
        if function.arguments == declared:
            call = Call(function, args, function.result, node.position)
            typmod = args[0].value if args else -1
            return apply_typmod(call, SqlType(function.result.oid, typmod), explicit=True)
    raise FeatureNotSupported(f"{node.kind.upper()} is not supported", position=node.position)


@binds(ArrayOf)
def _array(ctx: ExprContext, node: ArrayOf) -> Scalar:
    if not node.items:
        raise IndeterminateDatatype(
            "cannot determine type of empty array",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            position=node.position,
        )
    items = [bind(ctx, item) for item in node.items]
    common = select_common_type([item.type for item in items], "ARRAY", node.position)
    done = tuple(coerce_common(ctx.env, item, common, "ARRAY", node.position) for item in items)
    if common.info.element_oid:  # the elements are arrays: one more dimension, the same type
        return ArrayItems(done, common)
    if not common.info.array_oid:
        raise UndefinedObject(
            f"could not find array type for data type {format_type(common)}", position=node.position
        )
    return ArrayItems(done, array_of(common))


@binds(RowOf)
def _row(ctx: ExprContext, node: RowOf) -> Scalar:
    items = tuple(resolve_unknown(ctx.env, bind(ctx, item)) for item in node.items)
    return RowItems(items, RECORD)


@binds(Subscript)
def _subscript(ctx: ExprContext, node: Subscript) -> Scalar:
    chain: list[Subscript] = [node]
    while isinstance(chain[0].arg, Subscript):
        chain.insert(0, chain[0].arg)
    array = bind(ctx, chain[0].arg)
    if any(step.is_slice for step in chain) and len(chain) > 1:
        raise FeatureNotSupported(
            "slices of multidimensional arrays are not supported", position=node.position
        )
    function = subscript_function(array.type, len(chain), is_slice=node.is_slice)
    if function is None:
        raise CannotCoerce(
            f"cannot subscript type {format_type(array.type.bare)} because it does not support "
            "subscripting",
            position=_position(chain[0].arg),
            sqlstate="42804",
        )
    bounds = (node.lower, node.upper) if node.is_slice else tuple(step.lower for step in chain)
    args = tuple(_bound(ctx, bound) for bound in bounds)
    return Call(function, (array, *args), function.result, node.position)


def _bound(ctx: ExprContext, bound: Expr | None) -> Scalar:
    if bound is None:
        return Const(None, INT4)
    value = bind(ctx, bound)
    if value.type.info.category not in ("N", "X"):
        raise DatatypeMismatch("array subscript must have type integer", position=_position(bound))
    return coerce(ctx.env, value, INT4, CastContext.ASSIGNMENT, _position(bound))
