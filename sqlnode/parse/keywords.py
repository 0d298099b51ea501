"""PostgreSQL's key words and what each may be used for.

Source: PostgreSQL 15, src/include/parser/kwlist.h (pg_get_keywords()).
"""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED: Final = _words(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create current_catalog current_date current_role current_time
    current_timestamp current_user default deferrable desc distinct do else end except false
    fetch for foreign from grant group having in initially intersect into lateral leading
    limit localtime localtimestamp not null offset on only or order placing primary
    references returning select session_user some symmetric table then to trailing true
    union unique user using variadic when where window with
    """
)
"""May name nothing unless quoted (a column label after AS excepted)."""

TYPE_FUNC_NAME: Final = _words(
    """
    authorization binary collation concurrently cross current_schema freeze full ilike inner
    is isnull join left like natural notnull outer overlaps right similar tablesample
    verbose
    """
)
"""May name functions and types, not columns or tables."""

COL_NAME: Final = _words(
    """
    between bigint bit boolean char character coalesce dec decimal exists extract float
    greatest grouping inout int integer interval least national nchar none normalize nullif
    numeric out overlay position precision real row setof smallint substring time timestamp
    treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """
)
"""May name columns and tables, not functions or types."""

NOT_COLUMN: Final = RESERVED | TYPE_FUNC_NAME
NOT_FUNCTION: Final = RESERVED | COL_NAME

NEEDS_AS: Final = _words(
    """
    array as char character create day except fetch filter for from grant group having hour
    intersect into isnull limit minute month notnull offset on order over overlaps precision
    returning second to union varying where window with within without year
    """
)
"""May be a column label only after AS."""

TYPE_KEYWORDS: Final = _words(
    """
    bigint bit boolean char character dec decimal float int integer interval national nchar
    numeric real smallint time timestamp varchar
    """
)
"""Type names with a grammar of their own."""
