"""The name of an output column without AS.

**Source.** PostgreSQL, parse_target.c FigureColname.
"""

from sqlnode.parse.syntax import (
    ArrayOf,
    ArrayQuery,
    CaseWhen,
    CastTo,
    CollateTo,
    ColumnName,
    ExistsQuery,
    Expr,
    FieldSelect,
    FunctionCall,
    RowOf,
    ScalarQuery,
    SpecialCall,
    SqlValue,
    Subscript,
)

UNNAMED = "?column?"


def output_name(expr: Expr) -> str:
    """Return what PostgreSQL calls the column of `expr`."""
    return _figure(expr)[0] or UNNAMED


def _figure(expr: Expr) -> tuple[str | None, int]:
    """Return the name and how strong it is: 2 a proper one, 1 a type's."""
    match expr:
        case ColumnName():
            return expr.parts[-1], 2
        case FieldSelect():
            return expr.field, 2
        case Subscript() | CollateTo():
            return _figure(expr.arg)
        case FunctionCall():
            return expr.name[-1], 2
        case SqlValue() | SpecialCall():
            return expr.kind, 2
        case ArrayOf() | ArrayQuery():
            return "array", 2
        case RowOf():
            return "row", 2
        case ExistsQuery():
            return "exists", 2
        case _:
            return _figure_other(expr)


def _figure_other(expr: Expr) -> tuple[str | None, int]:
    match expr:
        case CastTo():
            name, strength = _figure(expr.arg)
            return (expr.type.names[-1], 1) if strength <= 1 else (name, strength)
        case CaseWhen():
            name, strength = _figure(expr.default) if expr.default is not None else (None, 0)
            return ("case", 1) if strength <= 1 else (name, strength)
        case ScalarQuery():
            return _figure_query(expr)
        case _:
            return None, 0


def _figure_query(expr: ScalarQuery) -> tuple[str | None, int]:
    body = expr.query.body
    while type(body).__name__ == "SetCore":
        body = body.left.body  # type: ignore[union-attr]  # a SetCore
    targets = getattr(body, "targets", ())
    if not targets:
        return ("column1", 2) if type(body).__name__ == "ValuesCore" else (None, 0)
    first = targets[0]
    if first.alias is not None:
        return first.alias, 2
    return _figure(first.expr)
