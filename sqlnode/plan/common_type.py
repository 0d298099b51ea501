"""The common type of CASE branches, UNION columns, array elements, VALUES.

**Source.** PostgreSQL docs, section 10.5; parse_coerce.c select_common_type.
"""

from collections.abc import Sequence

from pgwire.errors import DatatypeMismatch
from sqlnode.functions.registry import CastContext
from sqlnode.plan.coerce import can_coerce, coerce
from sqlnode.plan.env import Env
from sqlnode.plan.scalar import Scalar
from sqlnode.types import TEXT, UNKNOWN, SqlType, format_type


def select_common_type(
    types: Sequence[SqlType], construct: str, position: int | None = None
) -> SqlType:
    """Choose the type that all of `types` become, without modifier. Raises: DatatypeMismatch.

    >>> from sqlnode.types import INT4
    >>> select_common_type([INT4, UNKNOWN, INT4], "CASE").name
    'int4'
    """
    chosen: SqlType | None = None
    for candidate in types:
        if candidate.oid == UNKNOWN.oid:
            continue
        if chosen is None:
            chosen = candidate
        elif candidate.oid != chosen.oid:
            chosen = _wider(chosen, candidate, construct, position)
    return (chosen or TEXT).bare


def _wider(chosen: SqlType, candidate: SqlType, construct: str, position: int | None) -> SqlType:
    if candidate.info.category != chosen.info.category:
        raise DatatypeMismatch(
            f"{construct} types {format_type(chosen.bare)} and {format_type(candidate.bare)} "
            "cannot be matched",
            position=position,
        )
    if (
        not chosen.info.preferred
        and can_coerce(chosen, candidate, CastContext.IMPLICIT)
        and not can_coerce(candidate, chosen, CastContext.IMPLICIT)
    ):
        return candidate
    return chosen


def common_typmod(nodes: Sequence[Scalar], common: SqlType) -> SqlType:
    """Keep the modifier if all values share type and modifier."""
    first = nodes[0].type
    return first if first.oid == common.oid and all(n.type == first for n in nodes) else common


def coerce_all(
    env: Env, nodes: Sequence[Scalar], construct: str, position: int | None = None
) -> tuple[tuple[Scalar, ...], SqlType]:
    """Convert values to their common type; return them and it."""
    common = select_common_type([node.type for node in nodes], construct, position)
    done = tuple(coerce_common(env, node, common, construct, position) for node in nodes)
    return done, common_typmod(done, common)


def coerce_common(
    env: Env, node: Scalar, common: SqlType, construct: str, position: int | None = None
) -> Scalar:
    """Convert one value to the chosen type. Raises: CannotCoerce."""
    if not can_coerce(node.type, common, CastContext.IMPLICIT):
        raise DatatypeMismatch(
            f"{construct} could not convert type {format_type(node.type.bare)} to "
            f"{format_type(common)}",
            position=position,
            sqlstate="42846",
        )
    return coerce(env, node, common, CastContext.IMPLICIT, position)
