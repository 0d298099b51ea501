"""Casts between text and the reg* types: names looked up in the catalog, both ways."""

from collections.abc import Callable

from pgwire.errors import SqlError
from sqlnode.catalog.reg_names import REG_OIDS, reg_text
from sqlnode.context import ExecContext
from sqlnode.functions.define import STABLE, build, function
from sqlnode.functions.registry import REGISTRY, CastContext, CastRule
from sqlnode.plan.literals import literal_datum
from sqlnode.types import BY_NAME, REGCLASS, SqlType


def _to_text(reg: SqlType) -> Callable[[ExecContext, int], str]:
    return lambda ctx, oid: reg_text(reg.oid, oid, ctx.catalog, ctx.session.search_path)


def _from_text(reg: SqlType) -> Callable[[ExecContext, str], int]:
    def convert(ctx: ExecContext, text: str) -> int:
        datum: int = literal_datum(text, reg, ctx.settings, ctx.catalog, ctx.session.search_path)
        return datum

    return convert


def _register(reg: SqlType) -> None:
    for string in ("text", "varchar", "name"):
        out = build(
            f"{reg.name}_to_{string}({reg.name}) {string}",
            _to_text(reg),
            needs_context=True,
            volatility=STABLE,
        )
        into = build(
            f"{string}_to_{reg.name}({string}) {reg.name}",
            _from_text(reg),
            needs_context=True,
            volatility=STABLE,
        )
        # text → regclass is the one implicit cast of this kind, for nextval(text).
        context = CastContext.IMPLICIT if reg == REGCLASS else CastContext.EXPLICIT
        REGISTRY.add_cast(CastRule(reg, BY_NAME[string], CastContext.ASSIGNMENT, out))
        REGISTRY.add_cast(CastRule(BY_NAME[string], reg, context, into))


def _or_null(reg: SqlType) -> Callable[[ExecContext, str], int | None]:
    convert = _from_text(reg)

    def lookup(ctx: ExecContext, text: str) -> int | None:
        try:
            return convert(ctx, text)
        except SqlError:
            return None  # to_regclass and its kin answer NULL for what does not exist

    return lookup


for _oid in sorted(REG_OIDS):
    _reg = SqlType(_oid)
    _register(_reg)
    function(
        f"to_{_reg.name}(text) {_reg.name}",
        _or_null(_reg),
        needs_context=True,
        volatility=STABLE,
    )
