"""Which relations that exist a DDL statement names to change them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pgwire.sql_error import SqlError
from sqlnode.catalog.snapshot import Catalog
from sqlnode.ddl.names import find_index, find_relation
from sqlnode.ddl.nodes import (
    AlterSequence,
    AlterTable,
    CommentOn,
    CreateIndex,
    CreateView,
    Drop,
    Name,
    Rename,
    Truncate,
)


def named_relations(node: Any, catalog: Catalog, search_path: Sequence[str]) -> set[int]:
    """Return the ids of the relations; what a name does not mean now is left out.

    An index counts as its table.
    """
    found = set()
    for name, is_index in _names(node):
        with suppress(SqlError):  # the statement itself will say so
            if is_index and (pair := find_index(catalog, name, search_path)) is not None:
                found.add(pair[0].id)
            if not is_index and (relation := find_relation(catalog, name, search_path)) is not None:
                found.add(relation.id)
    return found


def _names(node: Any) -> Sequence[tuple[Name, bool]]:
    """Return the names, each with whether it is an index's."""
    match node:
        case Rename(kind="schema") | Drop(kind="schema"):
            return ()
        case Drop(kind=kind, names=names):
            return [(name, kind == "index") for name in names]
        case Rename(kind=kind, name=name):
            return ((name, kind == "index"),)
        case Truncate(tables=names):
            return [(name, False) for name in names]
        case CreateIndex(table=name) | CommentOn(table=name):
            return ((name, False),)
        case AlterTable(name=name) | AlterSequence(name=name) | CreateView(name=name):
            return ((name, False),)
    return ()
