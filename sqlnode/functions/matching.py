"""Operators and functions of pattern matching: LIKE, SIMILAR TO, ~, the regexp_ family."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pgwire.errors import InvalidParameterValue
from sqlnode.functions.define import duck_error, function, operator
from sqlnode.functions.patterns import like_escape, like_pattern, regex, similar_to_regex
from sqlnode.functions.regex_search import Search, first_match, matches, search_for

_END = duck_error("22025", "LIKE pattern must not end with escape character")


def _like(text: str, pattern: str) -> bool:
    return like_pattern(pattern).fullmatch(text) is not None


def _ilike(text: str, pattern: str) -> bool:
    return like_pattern(pattern, ignore_case=True).fullmatch(text) is not None


def _matches(text: str, pattern: str) -> bool:
    return regex(pattern).search(text) is not None


def _imatches(text: str, pattern: str) -> bool:
    return regex(pattern, "i").search(text) is not None


def _negated(test: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    return lambda text, pattern: not test(text, pattern)


# DuckDB lets a pattern end with its escape character; PostgreSQL does not.
_BAD = "regexp_matches({1}, '(^|[^\\\\])(\\\\\\\\)*\\\\$')"
_DUCK_LIKE = f"(CASE WHEN {_BAD} THEN {_END} ELSE {{0}} LIKE {{1}} ESCAPE '\\' END)"
for _symbol, _not, _suffix, _test, _duck in (
    ("~~", "!~~", "like", _like, _DUCK_LIKE),
    ("~~*", "!~~*", "iclike", _ilike, None),
    ("~", "!~", "regexeq", _matches, None),
    ("~*", "!~*", "icregexeq", _imatches, None),
):
    _opposite = _suffix.replace("like", "nlike").replace("eq", "ne")
    for _type in ("text", "name", "bpchar"):
        _prefix = _type
        operator(_symbol, f"{_prefix}{_suffix}({_type}, text) bool", _test,
                 _duck if _type == "text" else None, negator=_not)  # fmt: skip
        operator(_not, f"{_prefix}{_opposite}({_type}, text) bool", _negated(_test),
                 f"(NOT {_duck})" if _duck and _type == "text" else None,
                 negator=_symbol)  # fmt: skip


def _bytea_like(value: bytes, pattern: bytes) -> bool:
    return _like(value.decode("latin-1"), pattern.decode("latin-1"))


operator("~~", "bytealike(bytea, bytea) bool", _bytea_like, negator="!~~")
operator("!~~", "byteanlike(bytea, bytea) bool", lambda v, p: not _bytea_like(v, p), negator="~~")
function("like(text, text) bool", _like)
function("notlike(text, text) bool", _negated(_like))
function("like_escape(text, text) text", like_escape)
function("similar_to_escape(text) text", similar_to_regex)
function("similar_to_escape(text, text) text", similar_to_regex)
function(
    "similar_escape(text, text) text",
    lambda pattern, escape: None if pattern is None else similar_to_regex(pattern, escape or "\\"),
    strict=False,
)


def _prepared(pattern: str, flags: str, name: str) -> tuple[Search, bool]:
    is_global = "g" in flags
    if is_global and name not in ("regexp_replace", "regexp_matches"):
        raise InvalidParameterValue(f'{name}() does not support the "global" option')
    return search_for(pattern, flags.replace("g", "")), is_global


def _groups(match: re.Match[str]) -> list[Any]:
    return list(match.groups()) if match.re.groups else [match[0]]


def _regexp_match(text: str, pattern: str, flags: str = "") -> list[Any] | None:
    if "g" in flags:
        raise InvalidParameterValue(
            'regexp_match() does not support the "global" option',
            hint="Use the regexp_matches function instead.",
        )
    match = first_match(search_for(pattern, flags), text)
    return None if match is None else _groups(match)


def _regexp_matches(text: str, pattern: str, flags: str = "") -> Iterator[list[Any]]:
    compiled, is_global = _prepared(pattern, flags, "regexp_matches")
    for match in matches(compiled, text):
        yield _groups(match)
        if not is_global:
            return


_REPLACEMENT = re.compile(r"\\(.)", re.DOTALL)


def _expand(match: re.Match[str], replacement: str) -> str:
    def piece(escape: re.Match[str]) -> str:
        character = escape[1]
        if character == "&":
            return match[0]
        if character.isdigit() and character != "0":
            index = int(character)
            return (match[index] or "") if index <= match.re.groups else ""
        return "\\" if character == "\\" else escape[0]

    return _REPLACEMENT.sub(piece, replacement)


def _positive(value: int, name: str) -> None:
    if value <= 0:
        raise InvalidParameterValue(f'invalid value for parameter "{name}": {value}')


def _not_negative(value: int, name: str) -> None:
    if value < 0:
        raise InvalidParameterValue(f'invalid value for parameter "{name}": {value}')


def _replace(text: str, pattern: str, replacement: str, flags: str = "") -> str:
    if flags[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid regular expression option: "{flags[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter, "
            "cast the fourth argument to integer explicitly.",
        )
    compiled, is_global = _prepared(pattern, flags, "regexp_replace")
    return _replace_nth(compiled, text, replacement, 1, 0 if is_global else 1)


def _replace_nth(compiled: Search, text: str, replacement: str, start: int, nth: int) -> str:
    out, last = [], 0
    for index, match in enumerate(matches(compiled, text, start - 1), 1):
        if nth in (0, index):
            out += [text[last : match.start()], _expand(match, replacement)]
            last = match.end()
    return "".join([*out, text[last:]])


def _replace_from(
    text: str, pattern: str, replacement: str, start: int, nth: int | None = None, flags: str = ""
) -> str:
    _positive(start, "start")
    _not_negative(nth or 0, "n")
    compiled, is_global = _prepared(pattern, flags, "regexp_replace")
    if nth is None:
        nth = 0 if is_global else 1
    return _replace_nth(compiled, text, replacement, start, nth)


def _split(text: str, pattern: str, flags: str, name: str) -> list[str]:
    compiled, _ = _prepared(pattern, flags, name)
    parts, last = [], 0
    for match in matches(compiled, text):
        # An empty match splits between characters, but not at either end or after a match.
        if match.end() == match.start() and (match.start() in (0, len(text), last)):
            if match.start() != last or match.start() in (0, len(text)):
                continue
            continue
        parts.append(text[last : match.start()])
        last = match.end()
    return [*parts, text[last:]]


def _count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    _positive(start, "start")
    compiled, _ = _prepared(pattern, flags, "regexp_count")
    return sum(1 for _ in matches(compiled, text, start - 1))


def _nth_match(compiled: Search, text: str, start: int, nth: int) -> re.Match[str] | None:
    for index, match in enumerate(matches(compiled, text, start - 1), 1):
        if index == nth:
            return match
    return None


def _substr(
    text: str, pattern: str, start: int = 1, nth: int = 1, flags: str = "", group: int = 0
) -> str | None:
    _positive(start, "start")
    _positive(nth, "n")
    _not_negative(group, "subexpr")
    compiled, _ = _prepared(pattern, flags, "regexp_substr")
    match = _nth_match(compiled, text, start, nth)
    if match is None or group > compiled.compiled.groups:
        return None
    return match[group]


def _instr(
    text: str,
    pattern: str,
    start: int = 1,
    nth: int = 1,
    end: int = 0,
    flags: str = "",
    group: int = 0,
) -> int:
    _positive(start, "start")
    _positive(nth, "n")
    if end not in (0, 1):
        raise InvalidParameterValue(f'invalid value for parameter "endoption": {end}')
    _not_negative(group, "subexpr")
    compiled, _ = _prepared(pattern, flags, "regexp_instr")
    match = _nth_match(compiled, text, start, nth)
    if match is None or group > compiled.compiled.groups or match.start(group) < 0:
        return 0
    return (match.end(group) if end else match.start(group)) + 1


def _like_regex(text: str, pattern: str, flags: str = "") -> bool:
    if "g" in flags:
        raise InvalidParameterValue('regexp_like() does not support the "global" option')
    return regex(pattern, flags).search(text) is not None


def _substring_regex(text: str, pattern: str) -> str | None:
    match = first_match(search_for(pattern), text)
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]


def _substring_similar(text: str, pattern: str, escape: str) -> str | None:
    return _substring_regex(text, similar_to_regex(pattern, escape))


function("substring(text, text) text", _substring_regex)
function("substring(text, text, text) text", _substring_similar)
function("regexp_match(text, text, text) text[]", _regexp_match, defaults=1)
function("regexp_matches(text, text, text) text[]", _regexp_matches, returns_set=True, defaults=1)
function("regexp_replace(text, text, text, text) text", _replace, defaults=1)
function("regexp_replace(text, text, text, int4, int4, text) text", _replace_from, defaults=2)
function("regexp_split_to_array(text, text, text) text[]",
         lambda text, pattern, flags="": _split(text, pattern, flags, "regexp_split_to_array"),
         defaults=1)  # fmt: skip
function("regexp_split_to_table(text, text, text) text",
         lambda text, pattern, flags="": _split(text, pattern, flags, "regexp_split_to_table"),
         defaults=1, returns_set=True)  # fmt: skip
function("regexp_count(text, text, int4, text) int4", _count, defaults=2)
function("regexp_substr(text, text, int4, int4, text, int4) text", _substr, defaults=4)
function("regexp_instr(text, text, int4, int4, int4, text, int4) int4", _instr, defaults=5)
function("regexp_like(text, text, text) bool", _like_regex, defaults=1)
