"""Hand-made descriptors."""

from sqlnode.catalog.descriptors import (
    ColumnDesc,
    IndexColumn,
    IndexDesc,
    LayoutDesc,
    TableDesc,
)
from sqlnode.types import INT4, SqlType


def make_table(columns, primary=("a",), *, indexes=(), table_id=20000, name="t", **extra):
    """columns: (name, type[, {ColumnDesc fields}]); indexes: (name, columns, unique)."""
    descs = []
    for n, (column_name, sql_type, *rest) in enumerate(columns, 1):
        fields = {"not_null": column_name in primary} | (rest[0] if rest else {})
        descs.append(ColumnDesc(n, column_name, sql_type.oid, sql_type.typmod, **fields))
    attnum = {c.name: c.attnum for c in descs}

    def key(names):
        return tuple(
            IndexColumn(attnum[c.lstrip("-")], c.startswith("-"), c.startswith("-")) for c in names
        )

    return TableDesc(
        id=table_id,
        schema_id=2200,
        name=name,
        owner="o",
        columns=tuple(descs),
        primary=IndexDesc(1, table_id + 1, f"{name}_pkey", key(primary), True, True, True),
        indexes=tuple(
            IndexDesc(n, table_id + n, index_name, key(names), unique)
            for n, (index_name, names, unique) in enumerate(indexes, 2)
        ),
        layouts=(LayoutDesc(1, tuple(c.attnum for c in descs)),),
        next_attnum=len(descs) + 1,
        **extra,
    )


INTS = make_table([("a", INT4), ("b", INT4), ("c", SqlType(25))], indexes=[("t_b", ("b",), False)])
