"""Which of several functions or operators a call means.

**Model.** Exact match first; else candidates whose arguments can be converted implicitly; else the
rules of section 10.3: most exact matches, most preferred types, then what the unknown arguments'
categories say.

**Source.** PostgreSQL docs, sections 10.2 and 10.3; parse_func.c func_match_argtypes,
func_select_candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlnode.functions.registry import CastContext
from sqlnode.plan.array_access import element_type, is_vector
from sqlnode.plan.coerce import POLYMORPHIC, can_coerce
from sqlnode.types import ANYARRAY, ANYELEMENT, TYPES, UNKNOWN, SqlType, array_of


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry and the types its arguments would have in this call."""

    entry: Any
    types: tuple[SqlType, ...]
    expanded: bool = False  # the last ones come from a variadic parameter


def matching(candidates: Sequence[Candidate], args: Sequence[SqlType]) -> list[Candidate]:
    """Return the candidates that every argument can reach implicitly."""
    return [
        candidate
        for candidate in candidates
        if all(
            can_coerce(arg, wanted, CastContext.IMPLICIT)
            for arg, wanted in zip(args, candidate.types, strict=True)
        )
        and substitute(candidate.types, args) is not None
    ]


def select_candidate(candidates: Sequence[Candidate], args: Sequence[SqlType]) -> Candidate | None:
    """Choose the best of several matching candidates, or None if there is no best one."""
    remaining = _keep_best(candidates, lambda c: _exact_count(c, args))
    if len(remaining) == 1:
        return remaining[0]
    remaining = _keep_best(remaining, lambda c: _preferred_count(c, args))
    if len(remaining) == 1:
        return remaining[0]
    if not any(arg.oid == UNKNOWN.oid for arg in args):
        return None
    narrowed = _by_categories(remaining, args)
    if len(narrowed) == 1:
        return narrowed[0]
    return _by_known_type(narrowed, args)


def _keep_best(candidates: Sequence[Candidate], score: Any) -> list[Candidate]:
    scores = [score(candidate) for candidate in candidates]
    best = max(scores)
    return [c for c, s in zip(candidates, scores, strict=True) if s == best]


def _exact_count(candidate: Candidate, args: Sequence[SqlType]) -> int:
    return sum(
        arg.oid == wanted.oid and arg.oid != UNKNOWN.oid
        for arg, wanted in zip(args, candidate.types, strict=True)
    )


def _preferred_count(candidate: Candidate, args: Sequence[SqlType]) -> int:
    count = 0
    for arg, wanted in zip(args, candidate.types, strict=True):
        if arg.oid == UNKNOWN.oid:
            continue
        same = arg.info.category == wanted.info.category
        count += arg.oid == wanted.oid or (same and wanted.info.preferred)
    return count


def _by_categories(candidates: list[Candidate], args: Sequence[SqlType]) -> list[Candidate]:
    """Settle each unknown argument's category: string if any candidate takes one, else common."""
    remaining = candidates
    chosen: dict[int, tuple[str, bool]] = {}
    for i, arg in enumerate(args):
        if arg.oid != UNKNOWN.oid:
            continue
        categories = {c.types[i].info.category for c in remaining}
        if "S" in categories:
            category = "S"
        elif len(categories) == 1:
            (category,) = categories
        else:
            return candidates
        has_preferred = any(
            c.types[i].info.category == category and c.types[i].info.preferred for c in remaining
        )
        chosen[i] = category, has_preferred
    kept = [c for c in remaining if _fits(c, chosen)]
    return kept or candidates


def _fits(candidate: Candidate, chosen: dict[int, tuple[str, bool]]) -> bool:
    for i, (category, has_preferred) in chosen.items():
        info = candidate.types[i].info
        if info.category != category or (has_preferred and not info.preferred):
            return False
    return True


def _by_known_type(candidates: list[Candidate], args: Sequence[SqlType]) -> Candidate | None:
    """If all known arguments have one type, suppose that the unknown ones have it too."""
    known = {arg.oid for arg in args if arg.oid != UNKNOWN.oid}
    if len(known) != 1:
        return None
    (oid,) = known
    supposed = [SqlType(oid)] * len(args)
    kept = [
        c
        for c in candidates
        if all(
            can_coerce(arg, wanted, CastContext.IMPLICIT)
            for arg, wanted in zip(supposed, c.types, strict=True)
        )
    ]
    return kept[0] if len(kept) == 1 else None


def substitute(
    declared: Sequence[SqlType], args: Sequence[SqlType]
) -> tuple[tuple[SqlType, ...], SqlType | None] | None:
    """Replace polymorphic parameter types by what the arguments make them; None if they contradict.

    The second value is the element type that anyelement stands for, None without polymorphism.
    """
    if not any(d.oid in (ANYARRAY.oid, ANYELEMENT.oid) for d in declared):
        return tuple(declared), None
    element: SqlType | None = None
    for wanted, arg in zip(declared, args, strict=True):
        if arg.oid == UNKNOWN.oid:
            continue
        found: SqlType | None = None
        if wanted.oid == ANYELEMENT.oid:
            found = arg.bare
        elif wanted.oid == ANYARRAY.oid:
            found = element_type(arg.bare)  # of vectors, too
            if found is None:
                return None
        if found is not None:
            if element is not None and element.oid != found.oid:
                return None
            element = found
    if element is None:
        return tuple(declared), None
    return (
        tuple(
            arg.bare if d.oid == ANYARRAY.oid and is_vector(arg) else polymorphic(d, element)
            for d, arg in zip(declared, args, strict=True)
        ),
        element,
    )


def polymorphic(declared: SqlType, element: SqlType | None) -> SqlType:
    """Return the actual type of a declared one, given what anyelement stands for."""
    if element is None or declared.oid not in POLYMORPHIC:
        return declared
    if declared.oid == ANYELEMENT.oid:
        return element
    if declared.oid == ANYARRAY.oid and TYPES[element.oid].array_oid:
        return array_of(element)
    return declared
