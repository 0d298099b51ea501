"""Tokens: what the lexer yields and every parser reads."""

import enum
from typing import NamedTuple


class TokenKind(enum.IntEnum):
    """The lexical classes of PostgreSQL."""

    WORD = 1  # unquoted identifier or key word; value is folded to lower case
    QUOTED = 2  # "identifier"; value is its content
    STRING = 3  # any string constant; value is its content
    BIT_STRING = 4  # B'101', X'1F'; value is prefix and digits
    INTEGER = 5  # value is the digits
    NUMERIC = 6  # value has a point or an exponent
    PARAM = 7  # $1; value is the digits
    OPERATOR = 8
    PUNCTUATION = 9  # ( ) [ ] , ; : . :: .. :=
    END = 10


class Token(NamedTuple):
    """One token; text[start:end] is how it was written."""

    kind: TokenKind
    value: str
    start: int
    end: int

    @property
    def position(self) -> int:
        """1-based character, as error messages count."""
        return self.start + 1
