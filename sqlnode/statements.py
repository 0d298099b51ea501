"""Statements as read: split, grammar checked, literals lifted; no name is looked up yet.

**Model.** Grammar knows no tenant and no catalog. A text whose fingerprint was checked before is
not parsed again until it has to be planned.
"""

import logging
import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import msgspec

from pgwire.errors import SqlError, SqlSyntaxError
from sqlnode.parse.as_of import as_of_time
from sqlnode.parse.normalize import Normalized, normalize
from sqlnode.parse.query_syntax import PastTime
from sqlnode.parse.statement import ParsedStatement, StatementText, parse, split
from sqlnode.parse.syntax import ParamRef
from sqlnode.parse.utility import (
    Begin,
    CloseCursor,
    Commit,
    Deallocate,
    Discard,
    FetchCursor,
    ReleaseSavepoint,
    ResetVariable,
    Rollback,
    RollbackToSavepoint,
    Savepoint,
    SetTransaction,
    SetVariable,
    ShowVariable,
)
from sqlnode.plan_cache import LruCache
from sqlnode.types import SqlType

_log = logging.getLogger(__name__)

# Literals whose meaning moves with time: a plan that has read one cannot be kept.
_MOVING: Final = re.compile(r"'\s*(?:now|today|tomorrow|yesterday|allballs)", re.IGNORECASE)
_CACHED_TEXT_MAX: Final = 32_768  # characters; longer texts are planned anew each time


class Statement:
    """One statement as read: its grammar is right, its names are not looked up yet."""

    __slots__ = ("_parsed", "as_of", "cache_key", "is_cacheable", "normalized", "offset", "text")

    def __init__(
        self,
        text: str,
        parsed: ParsedStatement | None = None,
        *,
        offset: int = 0,
        normalized: Normalized | None = None,
        is_cacheable: bool = False,
        as_of: PastTime | None = None,
    ) -> None:
        """Without `parsed` the text is known to be a right query or data change, or empty."""
        self.text = text
        self.offset = offset  # of its first character in the query string
        self.normalized = normalized
        self.cache_key = _key(text, normalized)
        self.is_cacheable = is_cacheable
        self.as_of = as_of  # AS OF SYSTEM TIME; such statements are not cacheable
        self._parsed = parsed

    @property
    def parsed(self) -> ParsedStatement | None:
        """The parsed statement; None: there is only white space."""
        if self._parsed is None and self.text:
            self._parsed = parse(self.text, _lifted(self.normalized))
        return self._parsed

    @property
    def command(self) -> Any:
        """The utility node, None for queries and data changes."""
        parsed = self._parsed
        return None if parsed is None or parsed.is_planned else parsed.tree

    @property
    def tree(self) -> Any:
        """The syntax tree or utility node."""
        return None if self.parsed is None else self.parsed.tree

    @property
    def literal_types(self) -> tuple[SqlType | None, ...]:
        """Types of the literals that became parameters; None: untyped text."""
        return () if self.normalized is None else self.normalized.types

    @property
    def ends_failed_block(self) -> bool:
        """True if a failed transaction block accepts it."""
        return not self.text or isinstance(self.command, Commit | Rollback | RollbackToSavepoint)

    @property
    def is_transactional(self) -> bool:
        """True for the commands that begin and end transactions themselves."""
        return isinstance(self.command, _TRANSACTIONAL)

    @property
    def can_retry(self) -> bool:
        """False for what no second attempt can do: FETCH goes on with a query that has failed."""
        return not isinstance(self.command, (*_TRANSACTIONAL, FetchCursor))

    @property
    def is_free(self) -> bool:
        """True for what a tenant without request units may do: end what it began, and settings."""
        return not self.text or isinstance(self.command, _FREE)


_TRANSACTIONAL: Final = (Begin, Commit, Rollback)
_FREE: Final = (
    *_TRANSACTIONAL,
    RollbackToSavepoint,
    ReleaseSavepoint,
    Savepoint,
    SetTransaction,
    SetVariable,
    ResetVariable,
    ShowVariable,
    CloseCursor,
    Deallocate,
    Discard,
)


_known_texts: Final[LruCache[bool]] = LruCache(4_000)
"""Fingerprints of queries and data changes whose grammar was checked. Grammar knows no tenant."""


def read_statements(text: str, *, is_extended: bool = False) -> list[Statement]:
    """Split a query string and check the grammar of every statement. Raises: SqlError.

    Literals of a simple query become parameters, so that like statements share a plan.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if is_extended and _known_texts.get(text):
        return [Statement(text, is_cacheable=_is_cacheable(text))]
    pieces = split(text)
    try:
        return [_read(piece, None if is_extended else normalize(piece.text)) for piece in pieces]
    except SqlSyntaxError as error:
        raise _at_semicolon(error, text) from None


def _at_semicolon(error: SqlSyntaxError, text: str) -> SqlSyntaxError:
    """Return the error as if the semicolon had been part of the statement."""
    at = (error.position or 0) - 1
    if error.message != "syntax error at end of input" or at < 0:
        return error
    rest = text[at:].lstrip()
    if not rest.startswith(";"):
        return error
    position = len(text) - len(rest) + 1
    return SqlSyntaxError('syntax error at or near ";"', position=position)


def _key(text: str, normalized: Normalized | None) -> Hashable:
    """Return what like statements share. A tuple: no text can be taken for a fingerprint."""
    if normalized is None or not normalized.literals:
        return text
    return (normalized.fingerprint,)


def _lifted(normalized: Normalized | None) -> Mapping[int, int]:
    return {} if normalized is None else normalized.lifted


def _read(piece: StatementText, normalized: Normalized | None) -> Statement:
    text = piece.text
    is_cacheable = _is_cacheable(text)
    key = _key(text, normalized)
    if is_cacheable and _known_texts.get(key):
        return Statement(
            text, offset=piece.offset, normalized=normalized, is_cacheable=is_cacheable
        )
    try:
        parsed = parse(text, _lifted(normalized))
    except SqlError as error:
        if error.position is not None:
            error.position += piece.offset
        raise
    as_of = as_of_time(parsed.tree)
    if as_of is not None:
        parsed = parse(text)  # no literal lifted: what the time says is read before planning
        return Statement(text, parsed, offset=piece.offset, as_of=as_of_time(parsed.tree))
    literal_count = 0 if normalized is None else len(normalized.literals)
    if literal_count and _lifted_count(parsed.tree) != literal_count:
        # A lifted literal that stayed in the tree would become every like statement's. A bug, but
        # one that must cost speed and not data.
        _log.error("literals_not_lifted", extra={"literal_count": literal_count})
        parsed, normalized, key = parse(text), None, text
    is_cacheable = is_cacheable and parsed.is_planned
    if is_cacheable:
        _known_texts.put(key, True)
    return Statement(
        text,
        parsed,
        offset=piece.offset,
        normalized=normalized if parsed.is_planned else None,
        is_cacheable=is_cacheable,
    )


def _lifted_count(tree: Any) -> int:
    """Count the parameters in a syntax tree."""
    found: set[int] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ParamRef):
            found.add(node.index)
        elif isinstance(node, msgspec.Struct):
            pending += [getattr(node, name) for name in node.__struct_fields__]
        elif isinstance(node, tuple):
            pending += node
    return len(found)


def _is_cacheable(text: str) -> bool:
    return len(text) <= _CACHED_TEXT_MAX and _MOVING.search(text) is None


def statement_of_tree(tree: Any, text: str) -> Statement:
    """Return the statement of a tree that stands inside another statement."""
    parsed = ParsedStatement("", tree, text, is_planned=True)
    return Statement(text, parsed, as_of=as_of_time(tree))


EMPTY_STATEMENT: Final = Statement("")
