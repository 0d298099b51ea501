"""One table with an index on a column of every type that can be a key, and random reads of it."""

from sqlnode.types import (
    BOOL,
    BYTEA,
    FLOAT4,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    SqlType,
)  # fmt: skip
from tests.unit.sqlnode.rowexec.tables import make_table

BPCHAR4 = SqlType(1042, 8)
VARCHAR9 = SqlType(1043, 13)
_COLUMNS = (
    ("i2", INT2, "smallint"), ("i8", INT8, "bigint"), ("n", NUMERIC, "numeric"),
    ("s", VARCHAR9, "varchar(9)"), ("p", BPCHAR4, "char(4)"), ("ts", TIMESTAMP, "timestamp"),
    ("tz", TIMESTAMPTZ, "timestamptz"), ("u", UUID, "uuid"), ("iv", INTERVAL, "interval"),
    ("y", BYTEA, "bytea"), ("bo", BOOL, "bool"), ("f4", FLOAT4, "real"),
)  # fmt: skip
DDL = (
    "create table k(id int primary key, "
    + ", ".join(f"{name} {sql}" for name, _, sql in _COLUMNS)
    + "); create index k_two on k(i2 desc, s)"
)
K = make_table(
    [("id", INT4)] + [(name, sql_type) for name, sql_type, _ in _COLUMNS],
    ("id",),
    table_id=60000,
    name="k",
    indexes=[(f"k_{name}", (name,), False) for name, _, _ in _COLUMNS]
    + [("k_two", ("-i2", "s"), False)],
)
_VALUES = {
    "i2": ["-1", "0", "1", "2", "32767"],
    "i8": ["-1", "0", "1", "2", "9223372036854775807"],
    "n": ["-1.50", "0", "1", "1.00", "2.5", "'NaN'", "123456789012345678901234567890.5"],
    "s": ["''", "'a'", "'a '", "'ab'", "'b'", "'é'"],
    "p": ["''", "'a'", "'ab'", "'b'"],
    "ts": ["'2020-01-01'", "'2020-01-01 00:00:01'", "'infinity'", "'1999-12-31'"],
    "tz": ["'2020-01-01'", "'2020-01-01 00:00:00+02'", "'-infinity'"],
    "u": [f"'{digit * 8}-0000-0000-0000-000000000000'" for digit in "0af"],
    "iv": ["'1 month'", "'30 days'", "'31 days'", "'-1 day'", "'1 day 24:00:00'"],
    "y": ["'\\x'", "'\\x00'", "'\\x0001'", "'\\xff'"],
    "bo": ["true", "false"],
    "f4": ["-1.5", "0.1", "1.1", "0", "'NaN'", "'Infinity'"],
}
_CROSS = {  # values of another type that PostgreSQL compares with the column
    "i2": ["1::bigint", "1.0", "99999::int", "1.5::float8"],
    "i8": ["1::smallint", "1.5", "2::int"],
    "n": ["1::int", "2.5::float8"],
    "s": ["'a'::text", "'a'::char(3)"],
    "p": ["'a'::text", "'a  '::char(6)", "'b'::varchar"],
    "ts": ["'2020-01-01'::date"],
    "tz": ["'2020-01-01'::date"],
    "f4": ["1.5::float8", "0::int", "1.1::float8"],
}


def inserts(rng, count):
    """Return statements that fill the table."""
    for n in range(count):
        values = [
            "null" if rng.random() < 0.2 else rng.choice(choices) for choices in _VALUES.values()
        ]
        yield f"insert into k values ({n}, {', '.join(values)})"


def query(rng):
    """Return a read whose condition an index can answer."""
    parts = [_condition(rng) for _ in range(rng.randrange(1, 3))]
    order = rng.choice([*_VALUES, "id"])
    way = rng.choice(["", " desc", " desc nulls last", " nulls first"])
    text = f"select * from k where {' and '.join(parts)} order by {order}{way}, id"
    return text + rng.choice(["", " limit 3"])


def _condition(rng):
    name = rng.choice(list(_VALUES))
    values = _VALUES[name] + _CROSS.get(name, [])
    value, other = rng.choice(values), rng.choice(values)
    op = rng.choice(["=", "<", "<=", ">", ">=", "<>"])
    return rng.choice(
        [
            f"{name} {op} {value}", f"{name} {op} {value}", f"{value} {op} {name}",
            f"{name} in ({rng.choice(_VALUES[name])}, {rng.choice(_VALUES[name])})",
            f"{name} between {value} and {other}", f"{name} is null",
        ]
    )  # fmt: skip
