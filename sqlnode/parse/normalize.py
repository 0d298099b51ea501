"""Fingerprints: literals lifted out of a statement, so that like statements share one plan.

**Model.** One compiled regular expression walks the text. A literal is lifted where it is
certainly an operand: after an operator, comma, bracket or a key word that an expression follows,
and never in a type modifier, before `::`, in ORDER BY, or in a statement with GROUP BY, DISTINCT,
OVER or a set operation, whose meaning depends on literals being equal. The fingerprint is the text
with a mark for each lifted literal that tells its type, so fingerprint alone is the cache key:
statements with one fingerprint differ in nothing but the values of literals of the same types.

**Invariants.** Lifting never changes what a statement means. When in doubt the literal stays in
the text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache, partial
from typing import Any, Final

from sqlnode.types import INT4, INT8, NUMERIC, SqlType

LITERALS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 8192
QUICK_CHARS_MAX: Final = 1024  # of texts whose recipe is remembered

_TOKEN: Final = re.compile(
    r"""[ \t\n\r\f\v]*(?:
      ([A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)     # 1 word
    | '((?:[^']|'')*)'(?![ \t\f\v]*[\n\r'])                           # 2 string, not continued
    | (\d+(?:\.(?!\.)\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w$.])   # 3 number
    | ([-+*/<>=~!@\#%^&|`?]+)                                          # 4 operator
    | (::)                                                             # 5 cast
    | ([(\[])                                                          # 6 opening
    | ([)\],;:.])                                                      # 7 other marks
    | ("(?:[^"]|"")*")                                                 # 8 quoted identifier
    )""",
    re.VERBOSE,
)
_WORD, _STRING, _NUMBER, _OPERATOR, _CAST, _OPEN, _MARK, _QUOTED = range(1, 9)
_QUICK: Final = re.compile(r"((?<![\w$.\"'])\d+(?![\w$.'])|'[^'\\]*')")
_SPACE: Final = re.compile(r"[ \t\n\r\f\v]*")
_CAST_FOLLOWS: Final = re.compile(r"[ \t\n\r\f\v]*(?:::|\[|\.|[uU][eE][sS][cC][aA][pP][eE])")
_FIRST: Final = re.compile(r"[ \t\n\r\f\v]*(select|insert|update|delete)\b", re.IGNORECASE)
# Anything that this scanner does not read exactly: comments, parameters, dollar quotes, our own
# marks.
_FOREIGN: Final = re.compile(r"--|/\*|\$|[\x00-\x08\\]")
_OPERAND_FOLLOWS: Final = frozenset(
    """select where and or not when then else case between like ilike in values returning limit
    offset set symmetric""".split()  # noqa: SIM905 - a list would hide the words
)
_MEANING_DEPENDS: Final = frozenset(
    """group distinct over having window union intersect except within filter with grouping
    tablesample interval""".split()  # noqa: SIM905 - a list would hide the words
)
_MODIFIED: Final = frozenset(
    """timestamp time current_timestamp current_time localtime localtimestamp numeric decimal dec
    varchar char character varying nchar bit float""".split()  # noqa: SIM905 - a list would hide the words
)
_HAS_MARKS: Final = re.compile(r"[\x01-\x05]")
_PREFIXES: Final = frozenset({"e", "b", "x", "n", "u"})
_INT4_MAX: Final = 2**31
_INT8_MAX: Final = 2**63
_MARKS: Final = {INT4: "\x01", INT8: "\x02", NUMERIC: "\x03", None: "\x04"}


@dataclass(frozen=True)
class Normalized:
    """fingerprint: the cache key. literals: values in order, numbers as datums, strings as text.

    types: one for each literal, None for strings, whose type the binder infers
    (literals.literal_datum reads them).
    """

    fingerprint: str
    literals: tuple[Any, ...] = ()
    types: tuple[SqlType | None, ...] = ()
    find_starts: Callable[[], tuple[int, ...]] = field(default=tuple, compare=False, repr=False)

    @cached_property
    def lifted(self) -> Mapping[int, int]:
        """Where the lifted literals begin, to parameter indexes: for `parse`."""
        return {start: index for index, start in enumerate(self.find_starts(), 1)}


def normalize(text: str) -> Normalized:
    """Lift the literals of a planned statement; other texts are their own fingerprint."""
    if len(text) > TEXT_CHARS_MAX:
        return _as_it_is(text)
    if len(text) > QUICK_CHARS_MAX:
        return _normalize_slowly(text)
    parts = _QUICK.split(text)
    literals = parts[1::2]
    kinds = "".join(["s" if literal[0] == "'" else "i" for literal in literals])
    recipe = _recipe("\x05".join(parts[::2]), kinds)
    if recipe is not None:
        values: list[Any] = []
        for literal, factor in zip(literals, recipe.factors, strict=True):
            if not factor:
                values.append(literal[1:-1])
                continue
            value = int(literal) * factor
            if not -_INT4_MAX <= value < _INT4_MAX:
                return _normalize_slowly(text)
            values.append(value)
        find = partial(_starts, parts, recipe.factors)
        return Normalized(recipe.fingerprint, tuple(values), recipe.types, find)
    return _normalize_slowly(text)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a text of plain literals is normalized: factor 0 for strings, 1 or -1 for numbers."""

    fingerprint: str
    factors: tuple[int, ...]
    types: tuple[SqlType | None, ...]


@lru_cache(maxsize=2048)
def _recipe(skeleton: str, kinds: str) -> _Recipe | None:
    """Normalize a text with these parts between plain literals; None unless each of them is lifted.

    What a literal holds cannot change how the rest is read, so that one sample speaks for all.
    """
    parts = skeleton.split("\x05")
    if len(parts) != len(kinds) + 1:
        return None
    samples = ["''" if kind == "s" else "1" for kind in kinds]
    text = "".join(a + b for a, b in zip(parts, [*samples, ""], strict=True))
    found = _normalize_slowly(text)
    if len(found.literals) != len(kinds) or not kinds:
        return None
    if not all(map(_is_sample, found.literals, kinds)):
        return None  # a decimal was lifted, and a literal with a cast was not
    factors = tuple(0 if isinstance(value, str) else value for value in found.literals)
    every_other = [p for pair in zip(parts, [*samples, ""], strict=True) for p in pair][:-1]
    if _starts(every_other, factors) != found.find_starts():
        return None
    return _Recipe(found.fingerprint, factors, found.types)


def _is_sample(value: Any, kind: str) -> bool:
    return value == "" if kind == "s" else type(value) is int and abs(value) == 1


def _starts(parts: list[str], factors: tuple[int, ...]) -> tuple[int, ...]:
    """Return where the literals begin in the text that `parts` make up, signs included."""
    starts, at = [], 0
    for before, literal, factor in zip(parts[::2], parts[1::2], factors, strict=False):
        sign = before.rfind("-") if factor < 0 else len(before)
        starts.append(at + sign)
        at += len(before) + len(literal)
    return tuple(starts)


def _as_it_is(text: str) -> Normalized:
    """Take the text itself as fingerprint, unless it holds our marks and could be mistaken."""
    return Normalized("\x05" + text if _HAS_MARKS.search(text) else text)


def _normalize_slowly(text: str) -> Normalized:
    if _FIRST.match(text) is None or _FOREIGN.search(text):
        return _as_it_is(text)
    scan = _Scan(text)
    if not scan.run() or not scan.values:
        return _as_it_is(text)
    scan.parts.append(text[scan.copied :])
    starts = tuple(scan.starts)
    return Normalized("".join(scan.parts), tuple(scan.values), tuple(scan.types), lambda: starts)


class _Scan:
    """One walk over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[str] = []
        self.values: list[Any] = []
        self.types: list[SqlType | None] = []
        self.starts: list[int] = []
        self.copied = 0
        self.depth = 0
        self.frozen = -1  # the depth up to which nothing is lifted, -1: nothing is frozen
        self.expects = False  # an operand comes next
        self.named = 0  # 1: after :: or AS, 2: and a type's name has followed, 3: in its brackets
        self.sign = -1  # where a unary minus stands, if it was the last token

    def run(self) -> bool:
        """Walk; False where the text may not be normalized at all."""
        text, at, size = self.text, 0, len(self.text)
        while at < size:
            match = _TOKEN.match(text, at)
            if match is None:
                return _SPACE.fullmatch(text, at) is not None
            kind, at = match.lastindex, match.end()
            if kind == _WORD:
                if not self._word(match[_WORD].lower(), text[at : at + 1]):
                    return False
                continue
            if kind in (_NUMBER, _STRING):
                self._literal(kind, match)
                if len(self.values) > LITERALS_MAX:
                    return False
            elif kind == _OPERATOR:
                is_sign = match[_OPERATOR] == "-" and self.expects
                self.sign = match.start(_OPERATOR) if is_sign else -1
                self.expects, self.named = True, 0
                continue
            else:
                self._mark(kind, match)
            self.sign = -1
        return True

    def _literal(self, kind: int, match: re.Match[str]) -> None:
        is_operand = self.expects and self.frozen < 0
        if is_operand and _CAST_FOLLOWS.match(self.text, match.end()) is None:
            start = match.start(kind) - (kind == _STRING)
            is_negative = self.sign >= 0
            self._lift(kind, match[kind], self.sign if is_negative else start, match.end())
        self.expects, self.named = False, 0

    def _word(self, word: str, following: str) -> bool:
        if word in _MEANING_DEPENDS or (word in _PREFIXES and following in ("'", "&")):
            return False
        self.expects, self.sign = word in _OPERAND_FOLLOWS, -1
        if word in _MODIFIED:
            self.named = 2
        elif word == "as":
            self.named = 1
        elif self.named:
            self.named = 0 if self.expects else 2
        if word == "order":
            self.frozen = self.depth
        elif self.frozen == self.depth and word in ("limit", "offset", "for"):
            self.frozen = -1
        return True

    def _mark(self, kind: int | None, match: re.Match[str]) -> None:
        if kind == _OPEN:
            self.depth += 1
            is_type = self.named == 2 and self.frozen < 0
            if is_type:
                self.frozen = self.depth  # a type's modifiers, or column aliases
            self.expects, self.named = True, 3 if is_type else 0
        elif kind == _CAST:
            self.expects, self.named = False, 1
        elif kind == _QUOTED:
            self.expects, self.named = False, 2 if self.named else 0
        else:
            self._punctuation(match[_MARK])

    def _punctuation(self, mark: str) -> None:
        self.expects = mark == ","
        if mark in ")]":
            if self.frozen == self.depth:
                self.frozen = -1
            self.depth -= 1
            self.named = 2 if self.named == 3 else 0
        elif mark != ".":
            self.named = 0

    def _lift(self, kind: int, text: str, start: int, end: int) -> None:
        is_negative = self.sign >= 0
        value: Any
        if kind == _STRING:
            if is_negative:
                return
            value, type_ = text.replace("''", "'") if "'" in text else text, None
        elif text.isdecimal():
            value = -int(text) if is_negative else int(text)
            type_ = INT4 if -_INT4_MAX <= value < _INT4_MAX else INT8
            if not -_INT8_MAX <= value < _INT8_MAX:
                return
        else:
            if "e" in text or "E" in text:
                return
            value, type_ = Decimal("-" + text if is_negative else text), NUMERIC
            value = value or Decimal(text)  # numeric has no negative zero
        self.parts.append(self.text[self.copied : start])
        self.parts.append(_MARKS[type_])
        self.copied = end
        self.values.append(value)
        self.types.append(type_)
        self.starts.append(start)
