"""Scopes: what a name means at one level of a query, and which level outside has it otherwise.

**Model.** A scope is the FROM clause of one query: items with an alias and columns. Unqualified
names look at all visible columns of the nearest scope that has the name; qualified ones first find
the item. JOIN USING hides both inputs' columns from unqualified lookup and adds a merged one.

**Source.** PostgreSQL, parse_relation.c: colNameToVar, refnameNamespaceItem, errorMissingRTE,
errorMissingColumn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgwire.errors import (
    AmbiguousAlias,
    AmbiguousColumn,
    DuplicateAlias,
    UndefinedColumn,
    UndefinedTable,
)
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.scalar import ColumnRef, Scalar


@dataclass(slots=True)
class ScopeColumn:
    """A column as a name sees it; `scalar` is mostly a ColumnRef."""

    name: str
    scalar: Scalar
    table_oid: int = 0
    attnum: int = 0
    unqualified: bool = True  # may be found without its item's alias

    @classmethod
    def of(cls, column: OutColumn) -> "ScopeColumn":
        """Make the scope's view of an output column."""
        ref = ColumnRef(column.id, column.type, column.name)
        return cls(column.name, ref, column.table_oid, column.attnum)


@dataclass(slots=True)
class ScopeItem:
    """One FROM item. alias None: columns only (the merged ones of a join)."""

    alias: str | None
    columns: list[ScopeColumn]
    schema: str | None = None  # of a table without alias
    table: TableDesc | None = None
    hidden: bool = False  # behind the alias of a join: no lookup finds it
    is_function: bool = False  # scalar-valued function alias: f means f.f
    system: tuple[str, ...] = ()  # system columns it has
    relation_oid: int = 0

    def find(self, name: str) -> ScopeColumn | None:
        return next((c for c in self.columns if c.name == name), None)


@dataclass(slots=True)
class Scope:
    """One query level."""

    parent: "Scope | None" = None
    items: list[ScopeItem] = field(default_factory=list)
    star: list[ScopeColumn] = field(default_factory=list)  # what * expands to, in order
    ctes: dict[str, Any] = field(default_factory=dict)
    ids: set[int] = field(default_factory=set)  # column ids of this level
    clause: str = ""  # where the subquery stands that is being bound
    collector: Any = None  # the select.Collector of aggregates and windows, where there is one

    def add(self, item: ScopeItem) -> None:
        """Add an item whose columns * expands to."""
        self.items.append(item)
        self.star.extend(item.columns)
        self.own(item)

    def own(self, item: ScopeItem) -> None:
        """Note that the item's column ids belong to this level."""
        self.ids.update(c.scalar.id for c in item.columns if isinstance(c.scalar, ColumnRef))

    def levels(self) -> Iterator["Scope"]:
        """Yield this scope and all outer ones, nearest first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find_cte(self, name: str) -> Any:
        """Return the CTE that `name` means here, or None."""
        for scope in self.levels():
            if name in scope.ctes:
                return scope.ctes[name]
        return None

    def column(self, name: str, position: int) -> ScopeColumn | None:
        """Find an unqualified column, nearest level first. Raises: AmbiguousColumn."""
        for scope in self.levels():
            found = scope.own_column(name, position)
            if found is not None:
                return found
        return None

    def own_column(self, name: str, position: int) -> ScopeColumn | None:
        """Find an unqualified column of this level only. Raises: AmbiguousColumn."""
        found: ScopeColumn | None = None
        for item in self.items:
            if item.hidden:
                continue
            for column in item.columns:
                if column.name == name and column.unqualified:
                    if found is not None:
                        raise AmbiguousColumn(
                            f'column reference "{name}" is ambiguous', position=position
                        )
                    found = column
        return found

    def item(self, alias: str, schema: str | None, position: int) -> ScopeItem | None:
        """Find a FROM item by alias, nearest level first. Raises: AmbiguousAlias."""
        for scope in self.levels():
            matches = [
                item
                for item in scope.items
                if item.alias == alias
                and not item.hidden
                and (schema is None or item.schema == schema)
            ]
            if len(matches) > 1:
                raise AmbiguousAlias(f'table reference "{alias}" is ambiguous', position=position)
            if matches:
                return matches[0]
        return None

    def missing_item(self, alias: str, position: int) -> UndefinedTable:
        """Build the error for a qualifier that no FROM item has, with PostgreSQL's hints."""
        for scope in self.levels():
            for item in scope.items:
                if item.table is not None and item.table.name == alias and item.alias != alias:
                    return UndefinedTable(
                        f'invalid reference to FROM-clause entry for table "{alias}"',
                        hint=f'Perhaps you meant to reference the table alias "{item.alias}".',
                        position=position,
                    )
                if item.alias == alias and item.hidden:
                    return UndefinedTable(
                        f'invalid reference to FROM-clause entry for table "{alias}"',
                        hint=f'There is an entry for table "{alias}", but it cannot be '
                        "referenced from this part of the query.",
                        position=position,
                    )
        return UndefinedTable(f'missing FROM-clause entry for table "{alias}"', position=position)

    def missing_column(self, name: str, alias: str | None, position: int) -> UndefinedColumn:
        """Build the error for a column that nothing has; the hint names the nearest spelling."""
        shown = f"{alias}.{name}" if alias else f'"{name}"'
        return UndefinedColumn(
            f"column {shown} does not exist", hint=self._similar(name, alias), position=position
        )

    def _similar(self, name: str, alias: str | None) -> str | None:
        best, best_distance = [], len(name) // 2 + 1
        for scope in self.levels():
            for item in scope.items:
                if item.alias is None or (alias is not None and item.alias != alias):
                    continue
                for column in item.columns:
                    distance = _distance(name, column.name, best_distance + 1)
                    if distance < best_distance:
                        best, best_distance = [(item.alias, column.name)], distance
                    elif distance == best_distance and best:
                        best.append((item.alias, column.name))
        if not best or len(best) > 2:
            return None
        shown = " or the column ".join(f'"{a}.{c}"' for a, c in best)
        return f"Perhaps you meant to reference the column {shown}."


def check_aliases(items: list[ScopeItem]) -> None:
    """Refuse two FROM items of one name. Raises: DuplicateAlias."""
    seen: dict[str, list[ScopeItem]] = {}
    for item in items:
        if item.alias is None or item.hidden:
            continue
        for other in seen.setdefault(item.alias, []):
            # Two tables of one name from different schemas, both without alias, can be told apart.
            are_plain = item.schema is not None and other.schema is not None
            if not (are_plain and item.schema != other.schema):
                raise DuplicateAlias(f'table name "{item.alias}" specified more than once')
        seen[item.alias].append(item)


def _distance(a: str, b: str, limit: int) -> int:
    """Levenshtein distance, or `limit` if it is not smaller."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return min(row[-1], limit)
