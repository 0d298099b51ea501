"""Functions that take values of any type and write them as text: concat, format, quote_literal."""

import re
from collections.abc import Callable
from typing import Any, Final

from pgwire.errors import InvalidParameterValue, NullValueNotAllowed
from sqlnode.functions.define import STABLE, operator_for
from sqlnode.functions.json_build import Types, specialized
from sqlnode.functions.quoting import quote_ident, quote_literal
from sqlnode.functions.text_io import writer
from sqlnode.types import BOOL, SqlType

_ANY: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE, "strict": False}


def _texts(ctx: Any, types: Types, args: tuple[Any, ...]) -> list[str | None]:
    return [
        None if arg is None else writer(sql_type, ctx.settings)(arg)
        for sql_type, arg in zip(types, args, strict=True)
    ]


def _cast(ctx: Any, sql_type: SqlType, value: Any) -> str:
    """Write a value as a cast to text does: boolean in full."""
    if sql_type.oid == BOOL.oid:
        return "true" if value else "false"
    return writer(sql_type, ctx.settings)(value)


def _concat(types: Types) -> Callable[..., Any]:
    return lambda ctx, *args: "".join(t for t in _texts(ctx, types, args) if t is not None)


def _concat_ws(types: Types) -> Callable[..., Any]:
    def run(ctx: Any, separator: str | None, *args: Any) -> str | None:
        if separator is None:
            return None
        return separator.join(t for t in _texts(ctx, types[1:], args) if t is not None)

    return run


_SPEC: Final = re.compile(r"%(?:(\d+)\$)?(-)?(?:(\d+)|\*(?:(\d+)\$)?)?(.)?", re.DOTALL)


class _Format:
    """One run of format(): the next argument, and the specifiers one after the other."""

    def __init__(self, texts: list[str | None], args: tuple[Any, ...]) -> None:
        self.texts, self.args, self.next = texts, args, 0

    def _take(self, position: str | None) -> int:
        index = int(position) - 1 if position else self.next
        if position == "0":
            raise InvalidParameterValue(
                "format specifies argument 0, but arguments are numbered from 1"
            )
        self.next = index + 1
        if index >= len(self.texts):
            raise InvalidParameterValue("too few arguments for format()")
        return index

    def piece(self, match: re.Match[str]) -> str:
        position, minus, width, star, kind = match.groups()
        if match[0] == "%%":
            return "%"
        if kind is None:
            raise InvalidParameterValue(
                "unterminated format() type specifier",
                hint='For a single "%" use "%%".',
            )
        pad = int(width) if width else 0
        if "*" in match[0]:
            given = self.args[self._take(star)]
            pad = 0 if given is None else int(given)
        if kind not in "sIL":
            raise InvalidParameterValue(
                f'unrecognized format() type specifier "{kind}"',
                hint='For a single "%" use "%%".',
            )
        text = _converted(kind, self.texts[self._take(position)])
        return text.ljust(abs(pad)) if minus or pad < 0 else text.rjust(pad)


def _converted(kind: str, text: str | None) -> str:
    if kind == "L":
        return "NULL" if text is None else quote_literal(text).strip()
    if kind == "I":
        if text is None:
            raise NullValueNotAllowed("null values cannot be formatted as an SQL identifier")
        return quote_ident(text)
    return text or ""


def _format(types: Types) -> Callable[..., Any]:
    def run(ctx: Any, template: str | None, *args: Any) -> str | None:
        if template is None:
            return None
        state = _Format(_texts(ctx, types[1:], args), args)
        return _SPEC.sub(state.piece, template)

    return run


def _quote_literal(types: Types) -> Callable[..., Any]:
    def run(ctx: Any, value: Any) -> str | None:
        return None if value is None else quote_literal(_cast(ctx, types[0], value)).strip()

    return run


def _quote_nullable(types: Types) -> Callable[..., Any]:
    literal = _quote_literal(types)
    return lambda ctx, value: "NULL" if value is None else literal(ctx, value)


def _join(types: Types) -> Callable[..., Any]:
    return lambda ctx, a, b: _cast(ctx, types[0], a) + _cast(ctx, types[1], b)


def _counting(*, is_null: bool) -> Callable[[Types], Callable[..., Any]]:
    def count(_ctx: Any, *args: Any) -> int:
        return sum((arg is None) is is_null for arg in args)

    return lambda _types: count


specialized("concat(any) text", _concat, variadic=True, **_ANY)
specialized("concat_ws(text, any) text", _concat_ws, variadic=True, **_ANY)
specialized("format(text, any) text", _format, variadic=True, **_ANY)
specialized("num_nulls(any) int4", _counting(is_null=True), variadic=True, **_ANY)
specialized("num_nonnulls(any) int4", _counting(is_null=False), variadic=True, **_ANY)
specialized("quote_literal(anyelement) text", _quote_literal, **_ANY)
specialized("quote_nullable(anyelement) text", _quote_nullable, **_ANY)
_STRICT: Final[dict[str, Any]] = {**_ANY, "strict": True}
operator_for("||", specialized("anytextcat(anyelement, text) text", _join, **_STRICT))
operator_for("||", specialized("textanycat(text, anyelement) text", _join, **_STRICT))
