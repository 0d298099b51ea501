"""Expressions that the catalog keeps as text: defaults and CHECK conditions.

**Model.** What the user wrote is bound once, to find its errors, and stored as PostgreSQL would
print it (plan/deparse.py): with names resolved and literals typed, so that it means the same later.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from pgwire.codecs.registry import text_out
from pgwire.errors import FeatureNotSupported, UndefinedColumn, UndefinedObject
from sqlnode.catalog.descriptors import CheckDesc, ColumnDesc, TableDesc
from sqlnode.ddl.context import DdlContext
from sqlnode.functions.registry import Volatility
from sqlnode.plan.bind import BindSession, bind_expression
from sqlnode.plan.bind_target import parse_expression
from sqlnode.plan.coerce import coerce_to_column
from sqlnode.plan.deparse import deparse
from sqlnode.plan.env import Env, Params
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Columns, OutColumn
from sqlnode.plan.scalar import (
    And,
    ArraySubquery,
    BoolTest,
    Call,
    Case,
    Cast,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
    Exists,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
    Scalar,
    ScalarSubquery,
    SubqueryAnyAll,
    walk,
)
from sqlnode.plan.scope import Scope
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.types import BOOL, JSON, SqlType, format_type

_COMPUTED: Final = (
    And,
    BoolTest,
    Call,
    Case,
    Cast,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
)
# Types whose text no setting changes; and those that no setting keeps from being read.
_PLAIN: Final = frozenset({16, 18, 19, 20, 21, 23, 25, 26, 114, 1042, 1043, 1700, 2950, 3802})
_READ_PLAIN: Final = _PLAIN | {17, 700, 701}
_SUBQUERIES: Final = (ScalarSubquery, Exists, SubqueryAnyAll, ArraySubquery)


def normal_default(
    context: DdlContext, sql: str, sql_type: SqlType, column_name: str
) -> str | None:
    """Return a default as it is stored. Raises: FeatureNotSupported, DatatypeMismatch, ….

    A cast for assignment stays out of the text: it is made again where the default is used.
    DEFAULT NULL is no default.
    """
    bound = _bound_default(context, sql, sql_type, column_name)
    is_null = isinstance(bound, Const) and bound.value is None
    return None if is_null else deparse(bound)


def _bound_default(
    context: DdlContext, sql: str, sql_type: SqlType, column_name: str, *, is_cast: bool = False
) -> Scalar:
    session = BindSession(context.exec.settings)
    env = Env(context.editor.catalog, context.search_path, session, Params(()))
    ctx = ExprContext(env, Scope(), "DEFAULT expressions")
    with context.reading(sql):
        try:
            written = bind(ctx, parse_expression(sql))
        except UndefinedColumn as error:
            raise FeatureNotSupported(
                "cannot use column reference in DEFAULT expression", position=error.position
            ) from error
        _refuse_subqueries(written, "DEFAULT expression")
        assigned = coerce_to_column(env, written, (column_name, sql_type), None)
    return assigned if is_cast or written.type.name == "unknown" else written


def _refuse_subqueries(scalar: Scalar, where: str) -> None:
    if any(isinstance(part, _SUBQUERIES) for part in walk(scalar)):
        raise FeatureNotSupported(f"cannot use subquery in {where}")


def table_columns(table: TableDesc) -> Columns:
    """Return a table's columns for binding, with their position from 1 as id."""
    return tuple(
        OutColumn(number, column.name, column.type, table.id, column.attnum)
        for number, column in enumerate(table.columns, start=1)
    )


def _shown_columns(table: TableDesc) -> Columns:
    return tuple(
        column
        for column, desc in zip(table_columns(table), table.columns, strict=True)
        if not desc.hidden
    )


def normal_transform(
    context: DdlContext, table: TableDesc, sql: str
) -> tuple[str, SqlType, frozenset[int]]:
    """Return USING of ALTER TYPE as it is stored, its type, and the attnums it reads.

    Raises: SqlError.
    """
    with context.reading(sql):
        bound = bind_expression(
            sql,
            _shown_columns(table),
            catalog=context.editor.catalog,
            search_path=context.search_path,
            clause="transform expressions",
            alias=table.name,
            session=BindSession(context.exec.settings),
        )
    _refuse_subqueries(bound, "transform expression")
    return deparse(bound), bound.type, frozenset(_attnums_of(table, bound))


def _bound_check(context: DdlContext, table: TableDesc, sql: str) -> Scalar:
    with context.reading(sql):
        bound = bind_expression(
            sql,
            _shown_columns(table),
            catalog=context.editor.catalog,
            search_path=context.search_path,
            wanted=BOOL,
            clause="check constraints",
            alias=table.name,
            session=BindSession(context.exec.settings),
        )
    _refuse_subqueries(bound, "check constraint")
    return bound


def normal_check(context: DdlContext, table: TableDesc, sql: str) -> tuple[str, tuple[int, ...]]:
    """Return a CHECK condition as it is stored, and the attnums it reads."""
    bound = _bound_check(context, table, sql)
    # In order of appearance, as conkey.
    return deparse(bound), tuple(dict.fromkeys(_attnums_of(table, bound)))


def _attnums_of(table: TableDesc, bound: Scalar) -> list[int]:
    attnum_of = {column.id: column.attnum for column in table_columns(table)}
    return [attnum_of[part.id] for part in walk(bound) if isinstance(part, ColumnRef)]


def renamed_column(
    context: DdlContext, table: TableDesc, check: CheckDesc, renamed_table: TableDesc
) -> str:
    """Return a CHECK condition of `table` with the column names of `renamed_table`."""
    names = {column.id: column.name for column in table_columns(renamed_table)}
    return deparse(_with_names(_bound_check(context, table, check.sql), names))


def _with_names(node: Any, names: Mapping[int, str]) -> Any:
    if isinstance(node, ColumnRef):
        return replace(node, name=names[node.id])
    if isinstance(node, tuple) and not isinstance(node, SqlType):
        return tuple(_with_names(item, names) for item in node)
    if not is_dataclass(node) or isinstance(node, type) or not _is_scalar(node):
        return node
    changed = {
        f.name: _with_names(getattr(node, f.name), names)
        for f in fields(node)
        if f.name not in ("type", "function", "rule", "equals", "less")
    }
    return replace(node, **changed)


def _is_scalar(node: Any) -> bool:
    return isinstance(node, Scalar)


def comparable(column: ColumnDesc) -> None:
    """Raise UndefinedObject unless the column's type can be an index key."""
    if column.type_oid == JSON.oid or column.type.info.element_oid:
        raise UndefinedObject(
            f"data type {format_type(column.type.bare)} has no default operator class for "
            'access method "btree"',
            hint="You must specify an operator class for the index or define a default operator "
            "class for the data type.",
        )


def constant_default_text(context: DdlContext, column: ColumnDesc) -> bytes | None:
    """Return a default's present value as text; None if rows may get different ones, or NULL."""
    assert column.default_sql is not None, "the caller checked"
    bound = _bound_default(context, column.default_sql, column.type, column.name, is_cast=True)
    if any(_is_volatile(part) for part in walk(bound)):
        return None
    try:
        datum = compile_scalar(bound, {})((), context.exec)
    except NotRowShape:
        return None
    return None if datum is None else text_out(column.type_oid)(datum, None).encode()


def is_immutable(scalar: Scalar) -> bool:
    """Tell whether a scalar depends on nothing but its columns, whoever computes it and when."""
    return all(_is_immutable(part) for part in walk(scalar))


def _is_immutable(part: Scalar) -> bool:
    if not isinstance(part, _COMPUTED):
        return False
    if isinstance(part, Cast) and part.arg.type.oid in _PLAIN and part.type.oid in _READ_PLAIN:
        return True
    function = part.rule.function if isinstance(part, Cast) else getattr(part, "function", None)
    return function is None or (
        function.volatility is Volatility.IMMUTABLE and not function.needs_context
    )


def _is_volatile(part: Scalar) -> bool:
    function = part.rule.function if isinstance(part, Cast) else getattr(part, "function", None)
    if function is None or not isinstance(part, Cast | Call):
        return False
    return function.volatility is Volatility.VOLATILE or function.is_async
