"""AS OF SYSTEM TIME of a whole statement: found in its tree, and taken out for the binder.

**Model.** The clause stands after FROM in the outermost SELECT, or in one operand of an outermost
set operation, and counts for the whole statement. Anywhere else the binder meets it and refuses.

**Source.** CockroachDB, `opt_as_of_clause`.
"""

from typing import Any

import msgspec

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.query_syntax import PastTime, Query, SelectCore, SetCore
from sqlnode.parse.utility import Copy, DeclareCursor, Explain


def as_of_time(tree: Any) -> PastTime | None:
    """Return the clause of a statement, or of the query inside COPY, EXPLAIN or DECLARE.

    Raises: SqlSyntaxError if there are two.
    """
    match tree:
        case Copy() | DeclareCursor():
            tree = tree.query
        case Explain():
            tree = tree.statement
    return split_as_of(tree)[1] if isinstance(tree, Query) else None


def split_as_of(query: Query) -> tuple[Query, PastTime | None]:
    """Return a query without its clause, and the clause. Raises: SqlSyntaxError if it has two."""
    body = query.body
    if isinstance(body, SelectCore):
        if body.as_of is None:
            return query, None
        plain = msgspec.structs.replace(body, as_of=None)
        return msgspec.structs.replace(query, body=plain), body.as_of
    if not isinstance(body, SetCore):
        return query, None
    left, first = split_as_of(body.left)
    right, second = split_as_of(body.right)
    if first is not None and second is not None:
        raise SqlSyntaxError(
            "AS OF SYSTEM TIME can be given only once in a statement", position=second.position
        )
    found = first or second
    if found is None:
        return query, None
    plain_set = msgspec.structs.replace(body, left=left, right=right)
    return msgspec.structs.replace(query, body=plain_set), found
