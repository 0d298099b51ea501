"""Identifiers and string constants as SQL text, quoted where they must be.

Source: PostgreSQL, src/backend/utils/adt/ruleutils.c (quote_identifier, simple_quote_literal).
"""

from typing import Final

from sqlnode.parse.keywords import COL_NAME, RESERVED, TYPE_FUNC_NAME

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_KEYWORDS: Final = RESERVED | TYPE_FUNC_NAME | COL_NAME


def quote_literal(text: str) -> str:
    """Quote a string constant; backslashes are plain characters.

    >>> quote_literal("it's")
    "'it''s'"
    """
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def quote_name(name: str) -> str:
    """Quote an identifier if it needs it: odd characters, capitals, or a key word.

    >>> quote_name("plain"), quote_name("Not Plain"), quote_name("order")
    ('plain', '"Not Plain"', '"order"')
    """
    if name and not set(name) - _BARE and not name[0].isdigit() and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'
