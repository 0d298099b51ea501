"""Calls of registry functions as DuckDB text.

In this order: our own rules for numeric and extract(), the registry's template (not over numeric,
whose forms templates do not know), else the Python callable.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import FeatureNotSupported
from sqlnode.functions.registry import Function, Volatility
from sqlnode.types import BOOL, SqlType
from sqlnode.vecexec import numeric_forms
from sqlnode.vecexec.calendar_calls import calendar_template
from sqlnode.vecexec.date_parts import render_extract
from sqlnode.vecexec.physical import NUMERIC_OID, RECORD_OID, Expr, Physical, physical_of
from sqlnode.vecexec.udfs import UdfSet

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_EACH: Final = re.compile(
    r"list_transform\(\[struct_pack\((?P<names>[^)]*)\)\], lambda v: (?P<body>.*)\)\[1\]", re.DOTALL
)
_EACH_NAME: Final = re.compile(r"(\w+) := \{(\d+)\}")
_CONSTANT: Final = re.compile(r"(?!NULL)[-()\d]+::\w+|'(?:[^']|'')*'::\w+")
_SEES_NULL: Final = re.compile("CASE|greatest|least|coalesce|concat")
_INLINE_CHARS_MAX: Final = 400
_BOOL: Final = physical_of(BOOL)


def boolean(text: str) -> Expr:
    """Return a condition."""
    return Expr(f"({text})", _BOOL)


class CallRenderer:
    """Renders calls over rendered arguments."""

    def __init__(self, ctx: "ExecContext", udfs: UdfSet) -> None:
        self.ctx = ctx
        self.udfs = udfs

    def function(self, function: Function, args: Sequence[Expr], result: SqlType) -> Expr:
        """Return a call of a scalar function."""
        special = self._special(function, args)
        if special is not None:
            return special
        is_natural = not any(arg.physical.is_numeric for arg in args)
        template = function.duck or calendar_template(function, args)
        if template is not None and is_natural and result.oid != NUMERIC_OID:
            volatile = function.volatility is Volatility.VOLATILE
            return Expr(
                _fill(function, template, args),
                _result_form(function, result, args),
                volatile=volatile or any(arg.volatile for arg in args),
            )
        return self._python_call(function, args, result)

    def _special(self, function: Function, args: Sequence[Expr]) -> Expr | None:
        symbol = numeric_forms.COMPARISONS.get(function.name)
        if symbol is not None:
            return boolean(numeric_forms.compare(symbol, args[0], args[1], self.udfs))
        if function.name in ("extract", "date_part") and len(args) == 2:
            return render_extract(function, args)
        if function.name == "round" and len(args) == 2 and args[0].physical.is_fixed:
            digits = re.fullmatch(r"(\d+)::INTEGER", args[1].text)
            return numeric_forms.round_fixed(args[0], int(digits[1])) if digits else None
        if any(arg.physical.is_fixed for arg in args):
            return numeric_forms.arithmetic(function.name, args)
        return None

    def _python_call(self, function: Function, args: Sequence[Expr], result: SqlType) -> Expr:
        python = function.python
        if python is None:
            raise FeatureNotSupported(f"function {function.name} is not supported in this query")
        if function.is_async:
            python = self.udfs.awaiting(python)
        if function.needs_context:
            python = with_context(python, self.ctx)
        return self.udfs.call(
            python,
            [_typed_null(arg) for arg in args],
            _result_form(function, result, args),
            key=id(function),
            strict=function.strict,
            is_volatile=function.volatility is Volatility.VOLATILE,
        )


def with_context(python: Callable[..., Any], ctx: Any) -> Callable[..., Any]:
    """Return a callable that gets the context first."""
    return lambda *args: python(ctx, *args)


def _typed_null(arg: Expr) -> Expr:
    """Give a bare NULL a DuckDB type of its own, so that the function can be registered."""
    if not arg.physical.is_null:
        return arg
    form = arg.physical
    plain = Physical(form.type, form.precision, form.scale, form.element, form.fields)
    if form.type.oid == RECORD_OID:
        plain = Physical(SqlType(25))
    return Expr(f"CAST(NULL AS {plain.duck})", plain)


def _result_form(function: Function, result: SqlType, args: Sequence[Expr]) -> Physical:
    if result.oid == RECORD_OID:
        if function.out_types:
            return Physical(result, fields=tuple(physical_of(t) for t in function.out_types))
        records = [arg.physical for arg in args if arg.physical.fields]
        if records:
            return records[0]
    return physical_of(result)


def _fill(function: Function, template: str, args: Sequence[Expr]) -> str:
    """Put arguments into a template; its once-only wrapper goes if they may be repeated."""
    each = _EACH.fullmatch(template)
    may_repeat = not any(arg.volatile or len(arg.text) > _INLINE_CHARS_MAX for arg in args)
    if each is None or not may_repeat:
        text = template.format(*[arg.text for arg in args])
    else:
        text_of = {name: args[int(i)].text for name, i in _EACH_NAME.findall(each["names"])}
        text = re.sub(r"\bv\.(\w+)\b", lambda found: text_of[found[1]], each["body"])
        text = f"({text})"
    # NULL / 0 is NULL: a strict function with conditions must not get to them.
    if function.strict and may_repeat and _SEES_NULL.search(template):
        nulls = " OR ".join(f"{a.text} IS NULL" for a in args if not _CONSTANT.fullmatch(a.text))
        text = f"(CASE WHEN {nulls} THEN NULL ELSE {text} END)" if nulls else text
    return text
