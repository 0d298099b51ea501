"""Tables with one of their parts changed."""

from typing import Any

import msgspec

from sqlnode.catalog.descriptors import CheckDesc, ColumnDesc, ForeignKeyDesc, TableDesc

Part = CheckDesc | ForeignKeyDesc | ColumnDesc


def with_part(table: TableDesc, part: Part, *after: Part) -> TableDesc:
    """Return the table with one of its parts replaced by `after`, or removed."""

    def changed(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(new for old in parts for new in (after if old is part else (old,)))

    return msgspec.structs.replace(
        table,
        columns=changed(table.columns),
        checks=changed(table.checks),
        foreign_keys=changed(table.foreign_keys),
    )
