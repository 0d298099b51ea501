"""Cut the text of a date, time or interval into typed tokens, and the words it may contain.

Source: PostgreSQL's ParseDateTime and its token tables (src/backend/utils/adt/datetime.c).
"""

from enum import Enum
from typing import Final, NamedTuple

from pgwire.codecs.scalars import SPACE
from pgwire.errors import (
    DatetimeFieldOverflow,
    IntervalFieldOverflow,
    InvalidDatetimeFormat,
    InvalidTimeZoneDisplacementValue,
    SqlError,
)

TEXT_LENGTH_MAX: Final = 128
TOKEN_COUNT_MAX: Final = 25


class TokenKind(Enum):
    """What a token looks like before anything is known about its neighbours."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    TZ = "tz"
    WORD = "word"
    SPECIAL = "special"


class Token(NamedTuple):
    """One piece of the text, in lower case."""

    kind: TokenKind
    text: str


class BadFormatError(ValueError):
    """The text is no date, time or interval."""


class FieldOverflowError(ValueError):
    """A field is outside its range. `hint_order` says that month and day may be swapped."""

    def __init__(self, *, hint_order: bool = False) -> None:
        super().__init__("field out of range")
        self.hint_order = hint_order


class ZoneOverflowError(ValueError):
    """A time zone displacement is outside its range."""


MONTHS: Final = {
    name[:n]: number
    for number, name in enumerate(
        ("january", "february", "march", "april", "may", "june", "july", "august", "september",
         "october", "november", "december"), 1,
    )
    for n in (3, len(name))
} | {"sept": 9}  # fmt: skip
WEEKDAYS: Final = frozenset(
    [
        "sun",
        "sunday",
        "mon",
        "monday",
        "tue",
        "tues",
        "tuesday",
        "wed",
        "weds",
        "wednesday",
        "thu",
        "thur",
        "thurs",
        "thursday",
        "fri",
        "friday",
        "sat",
        "saturday",
    ]
)
IGNORED: Final = WEEKDAYS | {"at", "on", "of", "th"}
RESERVED: Final = frozenset(
    ["now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity", "allballs"]
)
UNIT_PREFIXES: Final = frozenset({"t", "j", "jd", "julian", "y", "m", "d", "h", "mm", "s"})
CORE_WORDS: Final = (
    frozenset(MONTHS)
    | IGNORED
    | RESERVED
    | UNIT_PREFIXES
    | {"am", "pm", "bc", "ad", "dst", "isodow", "isoyear", "dow", "doy"}
)
_DIGITS: Final = frozenset("0123456789")
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz")
_PUNCTUATION: Final = frozenset("!\"#$%&'()*,/:;<=>?@[\\]^_`{|}~")
_TIME_CHARS: Final = _DIGITS | {":", "."}
_TZ_CHARS: Final = _DIGITS | {":", ".", "-"}
_LOOSE_DATE_CHARS: Final = _DIGITS | _LETTERS | frozenset("+-/_.:")


class _Scanner:
    """Cursor over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def run(self, allowed: frozenset[str]) -> str:
        start = self.at
        text = self.text
        while self.at < len(text) and text[self.at] in allowed:
            self.at += 1
        return text[start : self.at]


def tokenize(text: str) -> list[Token]:
    """Cut `text` into tokens. Raises: BadFormatError."""
    if len(text) > TEXT_LENGTH_MAX or not text.isascii():
        raise BadFormatError
    scanner = _Scanner(text.lower())
    tokens: list[Token] = []
    while character := scanner.peek():
        if character in SPACE:
            scanner.at += 1
        elif character in _DIGITS:
            tokens.append(_digits(scanner))
        elif character == ".":
            scanner.at += 1
            tokens.append(Token(TokenKind.NUMBER, "." + scanner.run(_DIGITS)))
        elif character in _LETTERS:
            tokens.append(_letters(scanner))
        elif character in "+-":
            tokens.append(_signed(scanner))
        elif character in _PUNCTUATION:
            scanner.at += 1
        else:
            raise BadFormatError
        if len(tokens) > TOKEN_COUNT_MAX:
            raise BadFormatError
    return tokens


def _digits(scanner: _Scanner) -> Token:
    start = scanner.at
    scanner.run(_DIGITS)
    delimiter = scanner.peek()
    kind = TokenKind.NUMBER
    if delimiter == ":":
        kind = TokenKind.TIME
        scanner.run(_TIME_CHARS)
    elif delimiter and delimiter in "-/.":
        scanner.at += 1
        if scanner.peek() in _DIGITS:
            kind = TokenKind.NUMBER if delimiter == "." else TokenKind.DATE
            scanner.run(_DIGITS)
            if scanner.peek() == delimiter:
                kind = TokenKind.DATE
                scanner.run(_DIGITS | {delimiter})
        else:
            kind = TokenKind.DATE
            scanner.run(_DIGITS | _LETTERS | {delimiter})
    return Token(kind, scanner.text[start : scanner.at])


def _letters(scanner: _Scanner) -> Token:
    start = scanner.at
    word = scanner.run(_LETTERS)
    follower = scanner.peek()
    is_date = bool(follower) and (
        follower in "-/." or ((follower == "+" or follower in _DIGITS) and word not in CORE_WORDS)
    )
    if not is_date:
        return Token(TokenKind.WORD, word)
    scanner.run(_LOOSE_DATE_CHARS)
    return Token(TokenKind.DATE, scanner.text[start : scanner.at])


def _signed(scanner: _Scanner) -> Token:
    sign = scanner.peek()
    scanner.at += 1
    scanner.run(frozenset(SPACE))
    character = scanner.peek()
    if character and character in _DIGITS:
        return Token(TokenKind.TZ, sign + scanner.run(_TZ_CHARS))
    if character and character in _LETTERS:
        return Token(TokenKind.SPECIAL, sign + scanner.run(_LETTERS))
    raise BadFormatError


def datetime_error(error: ValueError, type_name: str, text: str) -> SqlError:
    """Turn a parser's failure into the SQL error PostgreSQL reports for it."""
    if isinstance(error, ZoneOverflowError):
        return InvalidTimeZoneDisplacementValue(f'time zone displacement out of range: "{text}"')
    if isinstance(error, FieldOverflowError):
        if type_name == "interval":
            return IntervalFieldOverflow(f'interval field value out of range: "{text}"')
        hint = 'Perhaps you need a different "datestyle" setting.' if error.hint_order else None
        return DatetimeFieldOverflow(f'date/time field value out of range: "{text}"', hint=hint)
    return InvalidDatetimeFormat(f'invalid input syntax for type {type_name}: "{text}"')


def fraction_micros(text: str) -> int:
    """Return microseconds of a fraction such as '.25'. Raises: BadFormatError."""
    digits = text[1:]
    if digits and not digits.isdigit():
        raise BadFormatError
    return round(float(f"0.{digits or '0'}") * 1_000_000)
