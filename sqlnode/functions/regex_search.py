"""Where a regular expression matches: PostgreSQL takes the longest match, Python the first found.

**Model.** Both agree where a match starts and whether there is one. They may differ on its end if
there is an alternation, or a repeated group, or both greedy and non-greedy quantifiers. For such
patterns the end is looked for here: the longest, or the shortest if the first quantifier is
non-greedy. Inside the match the groups are then Python's for exactly that extent.

Source: PostgreSQL docs, section 9.7.3.5, "Regular Expression Matching Rules".
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pgwire.errors import FeatureNotSupported
from sqlnode.functions.patterns import regex

_OUTSIDE: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_QUANTIFIER: Final = re.compile(r"(?:[*+]|(?<!\()\?|\{\d+(?:,\d*)?\})(\?)?")
_LOOKS: Final = re.compile(r"\\[bB]|\(\?=|\(\?!|\(\?<")
_REST_CHARS_MAX: Final = 256


class Search(NamedTuple):
    """A pattern and how the end of its matches is found."""

    compiled: re.Pattern[str]
    inner: re.Pattern[str]  # the same where the match ends before the text does
    mode: str  # plain, longest, shortest
    looks_ahead: bool


@lru_cache(maxsize=1024)
def search_for(pattern: str, flags: str = "") -> Search:
    """Compile a pattern for finding matches. Raises: as `regex`, FeatureNotSupported."""
    compiled = regex(pattern, flags)
    skeleton = _OUTSIDE.sub(lambda m: m[0] if m[0] in (r"\b", r"\B") else "x", compiled.pattern)
    mode = _mode(skeleton)
    inner = compiled
    if mode != "plain" and not compiled.flags & re.MULTILINE:
        inner = re.compile(compiled.pattern.replace(r"\Z", "(?!)"), compiled.flags & ~re.UNICODE)
    looks = bool(_LOOKS.search(skeleton)) or bool(compiled.flags & re.MULTILINE)
    return Search(compiled, inner, mode, looks)


def _mode(skeleton: str) -> str:
    lazy = [bool(match[1]) for match in _QUANTIFIER.finditer(skeleton)]
    has_choice = "|" in skeleton
    if has_choice and any(lazy):
        raise FeatureNotSupported(
            "alternation together with non-greedy quantifiers is not supported "
            "in functions that return what matched"
        )
    if any(lazy):
        return "shortest" if lazy[0] else "longest"
    return "longest" if has_choice or re.search(r"\)[*+?{]", skeleton) else "plain"


def matches(search: Search, text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Yield the matches in turn; after an empty one the search goes on one character later."""
    while start <= len(text):
        found = search.compiled.search(text, start)
        if found is None:
            return
        if search.mode != "plain":
            found = _with_right_end(search, text, found)
        yield found
        start = found.end() if found.end() > found.start() else found.end() + 1


def first_match(search: Search, text: str) -> re.Match[str] | None:
    """Return the first match."""
    return next(matches(search, text), None)


def _with_right_end(search: Search, text: str, found: re.Match[str]) -> re.Match[str]:
    if search.mode == "longest":
        ends = range(len(text), found.end(), -1)
    else:
        ends = range(found.start(), found.end())
    if search.looks_ahead and len(ends) > _REST_CHARS_MAX:
        raise FeatureNotSupported("this regular expression is not supported on so long a text")
    for end in ends:
        better = _ending_at(search, text, found.start(), end)
        if better is not None:
            return better
    return found


def _ending_at(search: Search, text: str, start: int, end: int) -> re.Match[str] | None:
    if end == len(text):
        return search.compiled.fullmatch(text, start)
    if not search.looks_ahead:
        return search.inner.fullmatch(text, start, end)
    # What looks around must see the text after the end.
    rest = len(text) - end
    exact = re.compile(
        rf"(?:{search.compiled.pattern})(?=[\s\S]{{{rest}}}\Z)",
        search.compiled.flags & ~re.UNICODE,
    )
    return exact.match(text, start)
