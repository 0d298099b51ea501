"""Which function, aggregate or window function a call means.

**Source.** PostgreSQL docs, section 10.3; parse_func.c func_get_detail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pgwire.errors import AmbiguousFunction, InvalidSchemaName, SqlError, UndefinedFunction
from sqlnode.functions.registry import REGISTRY, CastContext
from sqlnode.plan.coerce import find_cast
from sqlnode.plan.resolve import Candidate, matching, select_candidate
from sqlnode.types import BY_NAME, UNKNOWN, SqlType, format_type

_HINT = (
    "No function matches the given name and argument types. You might need to add explicit "
    "type casts."
)
_AMBIGUOUS_HINT = (
    "Could not choose a best candidate function. You might need to add explicit type casts."
)
_SCHEMAS = ("pg_catalog",)


@dataclass(frozen=True, slots=True)
class Found:
    """The chosen entry with its argument types, or a cast written as a call."""

    entry: Any
    types: tuple[SqlType, ...]
    cast: SqlType | None = None


def find_function(
    name: tuple[str, ...], args: Sequence[SqlType], position: int, *, star: bool = False
) -> Found:
    """Return what `name(args)` means. Raises: UndefinedFunction, AmbiguousFunction."""
    if len(name) > 1 and name[-2] not in _SCHEMAS:
        if name[-2] not in ("public", "information_schema", "pg_insula"):
            raise InvalidSchemaName(f'schema "{name[-2]}" does not exist', position=position)
        raise _undefined(name, args, position, star=star)
    found = _find(name[-1], tuple(arg.bare for arg in args))
    if isinstance(found, Found):
        return found
    if found == "ambiguous":
        raise AmbiguousFunction(
            f"function {_shown(name, args)} is not unique", hint=_AMBIGUOUS_HINT, position=position
        )
    raise _undefined(name, args, position, star=star)


def is_aggregate(name: tuple[str, ...]) -> bool:
    """Say whether a name is an aggregate's (none shares its name with a function)."""
    return name[-1] in REGISTRY.aggregates and (len(name) == 1 or name[-2] in _SCHEMAS)


def _shown(name: tuple[str, ...], args: Sequence[SqlType]) -> str:
    return f"{'.'.join(name)}({', '.join(format_type(arg.bare) for arg in args)})"


def _undefined(
    name: tuple[str, ...], args: Sequence[SqlType], position: int, *, star: bool
) -> SqlError:
    if star:
        return UndefinedFunction(
            f"function {'.'.join(name)}() does not exist", hint=_HINT, position=position
        )
    return UndefinedFunction(
        f"function {_shown(name, args)} does not exist", hint=_HINT, position=position
    )


def _candidates(name: str, count: int) -> Iterator[Candidate]:
    for entry in (
        *REGISTRY.functions.get(name, ()),
        *REGISTRY.aggregates.get(name, ()),
        *REGISTRY.window_functions.get(name, ()),
    ):
        arguments: tuple[SqlType, ...] = entry.arguments
        defaults = getattr(entry, "defaults", 0)
        if getattr(entry, "variadic", False):
            fixed = arguments[:-1]
            if count >= len(fixed):
                repeated = (arguments[-1],) * (count - len(fixed))
                yield Candidate(entry, (*fixed, *repeated), expanded=True)
        elif len(arguments) - defaults <= count <= len(arguments):
            yield Candidate(entry, arguments[:count])


@lru_cache(maxsize=4096)
def _find(name: str, args: tuple[SqlType, ...]) -> Found | str:
    candidates = list(_candidates(name, len(args)))
    for candidate in candidates:
        if candidate.types == args:
            return Found(candidate.entry, candidate.types)
    if len(args) == 1 and (cast := _written_cast(name, args[0])) is not None:
        return Found(None, args, cast)
    usable = matching(candidates, args)
    if not usable:
        return "undefined"
    plain = [c for c in usable if not c.expanded]
    if len(plain) == 1 and len(usable) > 1 and plain[0].types == usable[0].types:
        return Found(plain[0].entry, plain[0].types)
    chosen = usable[0] if len(usable) == 1 else select_candidate(usable, args)
    return "ambiguous" if chosen is None else Found(chosen.entry, chosen.types)


def _written_cast(name: str, arg: SqlType) -> SqlType | None:
    """`text(x)`, `int4('5')`: a type's name called with what is cast to it without a function."""
    target = BY_NAME.get(name)
    if target is None or name.startswith("_"):
        return None
    if arg.oid in (UNKNOWN.oid, target.oid):
        return target
    rule = REGISTRY.casts.get((arg.oid, target.oid))
    if rule is not None:
        return target  # the cast's function has the type's name in PostgreSQL
    return target if find_cast(arg, target, CastContext.EXPLICIT) is not None else None
