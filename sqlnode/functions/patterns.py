"""LIKE, SIMILAR TO and PostgreSQL's regular expressions, as Python's `re` patterns.

**Model.** Each pattern language has a translator to `re` syntax, cached by pattern text. What
Python would read differently is rewritten; what it cannot express is refused with 0A000.

Source: PostgreSQL docs, section 9.7; src/backend/utils/adt/like_match.c, regexp.c.
"""

import re
from functools import lru_cache
from typing import Final

from pgwire.errors import (
    FeatureNotSupported,
    InvalidEscapeSequence,
    InvalidParameterValue,
    InvalidRegularExpression,
)

_CLASSES: Final = {
    "alpha": r"^\W\d_", "digit": r"\d", "alnum": r"^\W_", "upper": "A-Z", "lower": "a-z",
    "space": r"\s", "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e\u00a0-\U0010ffff", "graph": r"\x21-\x7e\u00a1-\U0010ffff",
    "xdigit": "0-9A-Fa-f", "word": r"\w",
}  # fmt: skip
_BY_TEST: Final = {"alpha": str.isalpha, "alnum": str.isalnum, "upper": str.isupper,
                   "lower": str.islower}  # fmt: skip


@lru_cache(maxsize=8)
def _class_members(name: str) -> str:
    """Return a class as it stands inside a bracket, where a negated set cannot be spelled."""
    if (test := _BY_TEST.get(name)) is None:
        return _CLASSES[name]
    ranges: list[list[int]] = []
    for code in range(0x10000):
        if test(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in ranges)


_ESCAPES: Final = {
    "m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z",
    "d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S",
    "n": r"\n", "t": r"\t", "r": r"\r", "f": r"\f", "v": r"\v", "a": r"\a", "b": r"\x08",
    "e": r"\x1b", "B": r"\\",
}  # fmt: skip
_HEX: Final = {"x": 2, "u": 4, "U": 8}


def _check_escape(escape: str) -> None:
    if len(escape) > 1:
        raise InvalidEscapeSequence(
            "invalid escape string",
            sqlstate="22025",
            hint="Escape string must be empty or one character.",
        )


@lru_cache(maxsize=1024)
def like_pattern(pattern: str, escape: str = "\\", *, ignore_case: bool = False) -> re.Pattern[str]:
    """Compile a LIKE pattern. Raises: InvalidEscapeSequence."""
    _check_escape(escape)
    parts, characters = [], iter(pattern)
    for character in characters:
        if character == escape:
            literal = next(characters, None)
            if literal is None:
                raise InvalidEscapeSequence(
                    "LIKE pattern must not end with escape character", sqlstate="22025"
                )
            parts.append(re.escape(literal))
        elif character == "%":
            parts.append(".*")
        elif character == "_":
            parts.append(".")
        else:
            parts.append(re.escape(character))
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.compile("".join(parts), flags)


def like_escape(pattern: str, escape: str) -> str:
    """Rewrite a pattern with its own escape character to one with a backslash."""
    _check_escape(escape)
    if escape == "\\":
        return pattern
    out, after_escape = [], False
    for character in pattern:
        if escape and character == escape and not after_escape:
            out.append("\\")
            after_escape = True
        elif character == "\\":
            out.append("\\" if after_escape else "\\\\")
            after_escape = False
        else:
            out.append(character)
            after_escape = False
    return "".join(out)


class _Translator:
    """One pass over an advanced regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
        self.out: list[str] = []
        self.starts_branch = True

    def run(self) -> str:
        while self.at < len(self.pattern):
            self._one()
        return "".join(self.out)

    def _one(self) -> None:
        character = self.pattern[self.at]
        starts_branch, self.starts_branch = self.starts_branch, False
        if character == "\\":
            self._escape()
        elif character == "[":
            self._bracket()
        elif character == "(":
            self._group()
        elif character == "{" and not re.match(r"\{\d+(,\d*)?\}", self.pattern[self.at :]):
            if re.match(r"\{\d", self.pattern[self.at :]):
                raise invalid_regex("invalid repetition count(s)")
            self._emit(r"\{")
        elif character in "*+?{" and starts_branch:
            raise invalid_regex("quantifier operand invalid")
        elif character == "|":
            self._emit("|")
            self.starts_branch = True
        else:
            self._emit(character)

    def _emit(self, text: str, length: int = 1) -> None:
        self.out.append(text)
        self.at += length

    def _group(self) -> None:
        rest = self.pattern[self.at : self.at + 4]
        self.starts_branch = True
        for opening in ("(?:", "(?=", "(?!", "(?<=", "(?<!"):
            if rest.startswith(opening):
                self._emit(opening, len(opening))
                return
        if rest.startswith("(?#"):
            end = self.pattern.find(")", self.at)
            self.at = len(self.pattern) if end < 0 else end + 1
            return
        if rest.startswith("(?"):
            raise invalid_regex("quantifier operand invalid")
        self._emit("(")

    def _escape(self) -> None:
        if self.at + 1 >= len(self.pattern):
            raise invalid_regex("invalid escape \\ sequence")
        character = self.pattern[self.at + 1]
        if character in _HEX:
            self._hexadecimal(_HEX[character])
        elif character in _ESCAPES:
            self._emit(_ESCAPES[character], 2)
        elif character == "c" and self.at + 2 < len(self.pattern):
            self._emit(f"\\x{ord(self.pattern[self.at + 2]) & 31:02x}", 3)
        elif character == "0":
            octal = re.match(r"0[0-7]{0,2}", self.pattern[self.at + 1 :])
            assert octal is not None, "it starts with 0"
            self._emit(f"\\x{int(octal[0], 8):02x}", 1 + len(octal[0]))
        elif character.isdigit():
            self._emit(f"(?:\\{character})", 2)
        elif character.isalnum():
            raise invalid_regex("invalid escape \\ sequence")
        else:
            self._emit(re.escape(character), 2)

    def _hexadecimal(self, digits: int) -> None:
        limit = 255 if digits == 2 else digits
        found = re.match(rf"[0-9A-Fa-f]{{1,{limit}}}", self.pattern[self.at + 2 :])
        if found is None or (digits > 2 and len(found[0]) != digits):
            raise invalid_regex("invalid escape \\ sequence")
        code = int(found[0], 16)
        if code > 0x10FFFF:
            raise invalid_regex("invalid escape \\ sequence")
        self._emit(re.escape(chr(code)), 2 + len(found[0]))

    def _bracket(self) -> None:
        for text, meaning in (("[[:<:]]", _ESCAPES["m"]), ("[[:>:]]", _ESCAPES["M"])):
            if self.pattern.startswith(text, self.at):
                self._emit(meaning, len(text))
                return
        whole = re.match(r"\[(\^?)\[:(\w+):\]\]", self.pattern[self.at :])
        if whole is not None and whole[2] in ("alpha", "alnum"):
            members = _CLASSES[whole[2]]
            is_negated = bool(whole[1]) != members.startswith("^")
            self._emit(f"[{'^' if is_negated else ''}{members.lstrip('^')}]", len(whole[0]))
            return
        self._members()

    def _members(self) -> None:
        """Translate a bracket expression with several members."""
        at = self.at + 1
        out = ["["]
        if self.pattern.startswith("^", at):
            out.append("^")
            at += 1
        first = True
        while True:
            if at >= len(self.pattern):
                raise invalid_regex("brackets [] not balanced")
            character = self.pattern[at]
            if character == "]" and not first:
                break
            text, length = self._member(at)
            out.append(text)
            at += length
            first = False
        self.out.append("".join([*out, "]"]))
        self.at = at + 1

    def _member(self, at: int) -> tuple[str, int]:
        rest = self.pattern[at:]
        if rest.startswith("[:"):
            named = re.match(r"\[:(\w+):\]", rest)
            if named is None or named[1] not in _CLASSES:
                raise invalid_regex("invalid character class")
            return _class_members(named[1]), len(named[0])
        if rest.startswith(("[.", "[=")):
            single = re.match(r"\[([.=])(.)\1\]", rest, re.DOTALL)
            if single is None:
                raise FeatureNotSupported("collating elements in regular expressions")
            return re.escape(single[2]), len(single[0])
        if rest[0] == "\\":
            if len(rest) < 2:
                raise invalid_regex("brackets [] not balanced")
            if rest[1] in "wWdDsSntrfvabe":
                return (_ESCAPES[rest[1]] if rest[1] != "b" else r"\x08"), 2
            if rest[1] in _HEX:
                found = re.match(r"[0-9A-Fa-f]+", rest[2:])
                if found is None:
                    raise invalid_regex("invalid escape \\ sequence")
                return re.escape(chr(int(found[0], 16))), 2 + len(found[0])
            return re.escape(rest[1]), 2
        return ("-" if rest[0] == "-" else re.escape(rest[0])), 1


def invalid_regex(reason: str) -> InvalidRegularExpression:
    """Build the error of a pattern that is none."""
    return InvalidRegularExpression(f"invalid regular expression: {reason}")


_REASONS: Final = (
    ("unterminated character set", "brackets [] not balanced"),
    ("unbalanced parenthesis", "parentheses () not balanced"),
    ("missing )", "parentheses () not balanced"),
    ("nothing to repeat", "quantifier operand invalid"),
    ("multiple repeat", "quantifier operand invalid"),
    ("bad character range", "invalid character range"),
    ("invalid group reference", "invalid backreference number"),
)


def _options(flags: str) -> int:
    options = int(re.DOTALL)
    for letter in flags:
        if letter in _SET_OPTIONS:
            cleared, added = _SET_OPTIONS[letter]
            options = (options & ~cleared) | added
        elif letter not in "sbeqt":
            raise InvalidParameterValue(f'invalid regular expression option: "{letter}"')
    return options


_SET_OPTIONS: Final[dict[str, tuple[int, int]]] = {
    "i": (0, re.IGNORECASE),
    "c": (re.IGNORECASE, 0),
    "n": (re.DOTALL, re.MULTILINE),
    "m": (re.DOTALL, re.MULTILINE),
    "p": (re.DOTALL, 0),
    "w": (0, re.MULTILINE),
    "x": (0, re.VERBOSE),
}


@lru_cache(maxsize=1024)
def regex(pattern: str, flags: str = "") -> re.Pattern[str]:
    """Compile an advanced regular expression with PostgreSQL's option letters.

    Raises: InvalidRegularExpression, InvalidParameterValue, FeatureNotSupported.
    """
    director = re.match(r"\(\?([a-z]+)\)", pattern)
    if director is not None:
        flags, pattern = flags + director[1], pattern[director.end() :]
    if pattern.startswith("***="):
        flags, pattern = flags + "q", pattern[4:]
    pattern = pattern.removeprefix("***:")
    options = _options(flags)
    if "b" in flags:
        raise FeatureNotSupported("basic regular expressions are not supported")
    if "q" in flags:
        return re.compile(re.escape(pattern), options)
    translated = _Translator(pattern).run()
    if not options & re.MULTILINE:
        translated = _end_only(translated)
    try:
        return re.compile(translated, options)
    except re.error as error:
        if "look-behind" in str(error):
            raise FeatureNotSupported(
                "lookbehind of variable width is not supported in regular expressions"
            ) from None
        reason = next((r for words, r in _REASONS if words in str(error)), str(error))
        raise invalid_regex(reason) from None


def _end_only(translated: str) -> str:
    """Make $ mean the very end: Python's also matches before a last newline."""
    out, in_set, at = [], False, 0
    while at < len(translated):
        character = translated[at]
        if character == "\\":
            out.append(translated[at : at + 2])
            at += 2
            continue
        if character == "[" and not in_set:
            in_set = True
        elif character == "]" and in_set:
            in_set = False
        out.append(r"\Z" if character == "$" and not in_set else character)
        at += 1
    return "".join(out)


def similar_to_regex(pattern: str, escape: str = "\\") -> str:
    """Translate a SIMILAR TO pattern to a regular expression: similar_to_escape()."""
    _check_escape(escape)
    out, after_escape, in_set, separators = ["^(?:"], False, False, 0
    for character in pattern:
        if after_escape:
            if character == '"' and not in_set:
                separators += 1
                out.append("){1,1}?(" if separators == 1 else "){1,1}(?:")
            else:
                out.append("\\" + character)
            after_escape = False
        elif character == escape:
            after_escape = True
        elif in_set:
            if character == "\\":
                out.append("\\")
            out.append(character)
            in_set = character != "]"
        elif character == "[":
            out.append(character)
            in_set = True
        else:
            out.append(_SIMILAR.get(character, character))
    return "".join([*out, ")$"])


_SIMILAR: Final = {
    "%": ".*", "_": ".", "(": "(?:", "\\": "\\\\", ".": "\\.", "^": "\\^", "$": "\\$",
}  # fmt: skip
