"""The tables of the binder's tests, and one call from text to bound statement."""

import sqlnode.catalog.system.all  # noqa: F401 - registers pg_catalog
from sqlnode.catalog.descriptors import (
    CheckDesc,
    ColumnDesc,
    Identity,
    IndexColumn,
    IndexDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.parse.statement import parse
from sqlnode.parse.type_names import parse_type
from sqlnode.plan.bind import bind_statement


def column(attnum, definition, **fields):
    """Make a column of 'name type'."""
    name, _, type_name = definition.partition(" ")
    sql_type = parse_type(type_name)
    return ColumnDesc(attnum, name, sql_type.oid, sql_type.typmod, **fields)


def table(oid, name, *definitions, **fields):
    """Make a table whose first column is its primary key."""
    columns = tuple(
        d if isinstance(d, ColumnDesc) else column(n, d) for n, d in enumerate(definitions, 1)
    )
    key = (IndexColumn(1),)
    primary = IndexDesc(1, oid + 1, f"{name}_pkey", key, unique=True, primary=True, constraint=True)
    return TableDesc(oid, 2200, name, "owner", columns, primary, **fields)


CATALOG = build_catalog(
    1,
    [
        table(20000, "pgbench_accounts", "aid int", "bid int", "abalance int", "filler char(84)"),
        table(
            20010,
            "pgbench_history",
            "tid int",
            "bid int",
            "aid int",
            "delta int",
            "mtime timestamp",
            "filler char(22)",
        ),
        table(
            20020,
            "t",
            "a int",
            "b text",
            "c numeric",
            "d timestamptz",
            "e date",
            "f varchar(10)",
            "g numeric(10,2)",
            "h float8",
            "i int2",
            "j jsonb",
            "k bool",
            "l interval",
            "m uuid",
            "n bytea",
            "o time",
            "p timestamp",
            "q float4",
            "r char(3)",
        ),
        table(20030, "u", "a bigint", "x int", "arr int[]", "tarr text[]"),
        table(
            20040,
            "made",
            column(1, "id int", identity=Identity.ALWAYS, default_sql="1"),
            column(2, "n int", default_sql="40 + 2"),
            column(3, "at timestamptz", default_sql="now()"),
            checks=(CheckDesc(20043, "made_n_check", "(n > 0)", (2,)),),
        ),
        ViewDesc(
            20050,
            2200,
            "seen",
            "owner",
            "SELECT a AS key, upper(b) AS big FROM t WHERE a > 1",
            (column(1, "key int"), column(2, "big text")),
        ),
    ],
    [],
)


def bind(sql, param_types=()):
    """Parse and bind one statement."""
    return bind_statement(
        parse(sql).tree,
        text=sql,
        catalog=CATALOG,
        search_path=("public",),
        param_types=param_types,
    )
