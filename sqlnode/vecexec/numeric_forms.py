"""numeric in DuckDB: fixed DECIMAL where scale and precision are known, else text and Python.

**Model.** Sums, differences, products, comparisons and roundings of fixed forms stay DECIMAL and
run at full speed; they are exact and so display as PostgreSQL's. A quotient's scale depends on its
operands' values, so it is text. Text forms compare, sort and group by `order_key`: bytes whose
order is numeric order.

Source: the scale rules are those of PostgreSQL's numeric.c.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from kvapi.keys import KeyCodec, KeyColumn, KeyKind
from sqlnode.plan.scalar import Scalar
from sqlnode.types import BYTEA, NUMERIC, SqlType, numeric_precision_scale
from sqlnode.vecexec.physical import (
    PRECISION_MAX,
    Expr,
    Physical,
    comparable,
    fixed,
    physical_of,
)
from sqlnode.vecexec.udfs import UdfSet

TEXT_FORM: Final = physical_of(NUMERIC)
_KEY_FORM: Final = physical_of(BYTEA)
_KEY_CODEC: Final = KeyCodec([KeyColumn(KeyKind.NUMERIC)])
_INTEGER_DIGITS: Final = {21: 5, 23: 10, 20: 19}
COMPARISONS: Final = {
    "numeric_eq": "=",
    "numeric_ne": "<>",
    "numeric_lt": "<",
    "numeric_le": "<=",
    "numeric_gt": ">",
    "numeric_ge": ">=",
}
_EXACT_DOUBLE_DIGITS: Final = 15


def _key(value: Decimal) -> bytes:
    return _KEY_CODEC.encode((value,))


def order_key(expr: Expr, udfs: UdfSet) -> Expr:
    """Return bytes that compare as the numeric does, display scale ignored."""
    return udfs.call(_key, [expr], _KEY_FORM)


def to_text(expr: Expr) -> Expr:
    """Return a numeric in text form."""
    return expr if expr.physical.is_text_numeric else expr.cast(TEXT_FORM)


def compare(symbol: str, left: Expr, right: Expr, udfs: UdfSet) -> str:
    """Return a comparison's text; `symbol` is DuckDB's operator, IS DISTINCT FROM included."""
    if left.physical.is_null or right.physical.is_null:
        left, right = Expr(left.text, TEXT_FORM), Expr(right.text, TEXT_FORM)
        return f"(({left.text})::VARCHAR {symbol} ({right.text})::VARCHAR)"
    if comparable(left.physical, right.physical) is not None:
        return f"({left.text} {symbol} {right.text})"
    return f"({order_key(left, udfs).text} {symbol} {order_key(right, udfs).text})"


def arithmetic(name: str, args: Sequence[Expr]) -> Expr | None:
    """Render a numeric operator over fixed forms; None if there is no fixed form for it."""
    if not args or not all(arg.physical.is_fixed for arg in args):
        return None
    if len(args) == 1:
        return _unary(name, args[0])
    render = _BINARY.get(name)
    return render(args[0], args[1]) if render is not None else None


def _unary(name: str, arg: Expr) -> Expr | None:
    form = arg.physical
    if name == "numeric_uminus":
        return Expr(f"(-{arg.text})", form, volatile=arg.volatile)
    if name == "numeric_uplus":
        return arg
    if name in ("numeric_abs", "abs"):
        return Expr(f"abs({arg.text})", form, volatile=arg.volatile)
    if name in ("ceil", "ceiling", "floor"):
        whole = fixed(form.precision - form.scale + 1, 0)
        if whole is None:
            return None
        rounding = "floor" if name == "floor" else "ceil"
        return Expr(f"CAST({rounding}({arg.text}) AS {whole.duck})", whole, volatile=arg.volatile)
    if name == "round":
        return round_fixed(arg, 0)
    return None


def _sum(symbol: str) -> Callable[[Expr, Expr], Expr | None]:
    def render(a: Expr, b: Expr) -> Expr | None:
        scale = max(a.physical.scale, b.physical.scale)
        whole = max(form.precision - form.scale for form in (a.physical, b.physical))
        return _typed(f"({a.text} {symbol} {b.text})", fixed(whole + scale + 1, scale), a, b)

    return render


def _product(a: Expr, b: Expr) -> Expr | None:
    form = fixed(a.physical.precision + b.physical.precision, a.physical.scale + b.physical.scale)
    return _typed(f"({a.text} * {b.text})", form, a, b)


def _typed(text: str, form: Physical | None, a: Expr, b: Expr) -> Expr | None:
    if form is None:
        return None
    return Expr(f"CAST({text} AS {form.duck})", form, volatile=a.volatile or b.volatile)


_BINARY: Final[dict[str, Callable[[Expr, Expr], Expr | None]]] = {
    "numeric_add": _sum("+"),
    "numeric_sub": _sum("-"),
    "numeric_mul": _product,
}


def round_fixed(arg: Expr, scale: int) -> Expr | None:
    """Round a fixed form half away from zero, as CAST between DECIMALs does."""
    form = arg.physical
    if not form.is_fixed or scale < 0:
        return None
    whole = form.precision - form.scale + (1 if scale < form.scale else 0)
    wanted = fixed(whole + scale, scale)
    return None if wanted is None else arg.cast(wanted)


def from_integer(arg: Expr) -> Expr | None:
    """Cast int2, int4 or int8 to numeric."""
    digits = _INTEGER_DIGITS.get(arg.physical.type.oid)
    form = fixed(digits, 0) if digits is not None else None
    return (
        None
        if form is None
        else Expr(f"CAST({arg.text} AS {form.duck})", form, volatile=arg.volatile)
    )


def cast_fixed(arg: Expr, target: SqlType) -> Expr | None:
    """Cast a fixed form to another type, where DuckDB's cast is PostgreSQL's."""
    form = arg.physical
    if not form.is_fixed:
        return None
    if target.oid in _INTEGER_DIGITS:  # both round half away from zero
        return _natural(arg, target)
    if target.oid == 25:
        return _natural(arg, target)
    if target.oid == 701:
        if form.precision <= _EXACT_DOUBLE_DIGITS:  # one correctly rounded division
            return _natural(arg, target)
        return _natural(Expr(f"CAST({arg.text} AS VARCHAR)", form, volatile=arg.volatile), target)
    return None


def _natural(arg: Expr, target: SqlType) -> Expr:
    physical = physical_of(target)
    return Expr(f"CAST({arg.text} AS {physical.duck})", physical, volatile=arg.volatile)


def coerce_fixed(arg: Expr, target: SqlType) -> Expr | None:
    """Apply numeric(p, s) to a fixed form: round, then raise 22003 if it is too large."""
    parts = numeric_precision_scale(target.typmod)
    if parts is None or not arg.physical.is_fixed:
        return None
    precision, scale = parts
    form = fixed(precision, scale)
    rounded = round_fixed(arg, scale)
    if form is None or rounded is None:
        return None
    whole = precision - scale
    if rounded.physical.precision - scale <= whole:
        return rounded.cast(form)
    if rounded.volatile:
        return None
    limit = f"{'10^' if whole else ''}{whole if whole else 1}"
    message = (
        f"[[22003]]numeric field overflow[[detail]]A field with precision {precision}, "
        f"scale {scale} must round to an absolute value less than {limit}."
    )
    checked = (
        f"CASE WHEN abs({rounded.text}) >= {10**whole}::DECIMAL({PRECISION_MAX},0) "
        f"THEN error('{message}') ELSE {rounded.text} END"
    )
    if whole + 1 + scale > PRECISION_MAX:
        return None
    return Expr(f"CAST({checked} AS {form.duck})", form)


def column_form(target: SqlType) -> Physical:
    """Return the form of a stored numeric column without NaN: fixed if its typmod allows."""
    parts = numeric_precision_scale(target.typmod)
    form = fixed(*parts) if parts is not None else None
    return form or TEXT_FORM


def is_numeric(node: Scalar | Any) -> bool:
    """Tell whether a scalar's type is numeric."""
    return bool(node.type.oid == NUMERIC.oid)
