"""Values of reg* types (regclass, regtype …) on their way out: numbers become names."""

from collections.abc import Sequence
from typing import Any

from sqlnode.catalog.reg_names import reg_text
from sqlnode.catalog.snapshot import Catalog


def with_names(
    rows: Sequence[Any],
    columns: Sequence[tuple[int, int]],
    catalog: Catalog,
    search_path: tuple[str, ...],
) -> list[Any]:
    """Return the rows with names in `columns`, which are (position, type OID)."""
    named = []
    for row in rows:
        datums = list(row)
        for position, type_oid in columns:
            if type(datums[position]) is int:
                datums[position] = reg_text(type_oid, datums[position], catalog, search_path)
        named.append(datums)
    return named
