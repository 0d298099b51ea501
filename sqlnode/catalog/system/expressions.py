"""Stored expressions as clients see them: bound again and printed, with the names of today.

**Model.** A default or CHECK is stored as text that renaming does not touch; what pg_get_expr and
information_schema show is made from it on demand, and kept as long as the catalog snapshot lives.
"""

from functools import lru_cache

from pgwire.sql_error import SqlError
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.deparse import deparse
from sqlnode.plan.logical import OutColumn

Path = tuple[str, ...]


def shown_expression(
    catalog: Catalog, table: TableDesc, sql: str, path: Path, *, pretty: bool = False
) -> str:
    """Return the text of a table's default or CHECK as pg_get_expr prints it."""
    return _shown(_ById(catalog), table, sql, path, pretty)


class _ById:
    """A snapshot as a cache key: equal only to itself."""

    __slots__ = ("catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def __hash__(self) -> int:
        return id(self.catalog)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.catalog is self.catalog


@lru_cache(maxsize=4096)
def _shown(snapshot: _ById, table: TableDesc, sql: str, path: Path, pretty: bool) -> str:
    from sqlnode.catalog.reg_names import reg_text
    from sqlnode.plan.bind import bind_expression

    catalog = snapshot.catalog
    columns = tuple(
        OutColumn(column.attnum, column.name, column.type, table.id, column.attnum)
        for column in table.columns
        if not column.hidden
    )
    try:
        bound = bind_expression(sql, columns, catalog=catalog, search_path=path, alias=table.name)
        return deparse(
            bound,
            pretty=pretty,
            reg_name=lambda type_oid, oid: reg_text(type_oid, oid, catalog, path),
        )
    except SqlError:
        return sql  # it names what is gone: the stored text says so better than an error
