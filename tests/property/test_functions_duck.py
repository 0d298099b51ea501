"""Every entry with a Python callable and a DuckDB template gives one answer through both."""

import datetime
import itertools
import random
import re
import uuid

import duckdb
import pytest

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.sql_error import SqlError
from sqlnode.functions.registry import REGISTRY
from sqlnode.functions.text_io import reader
from sqlnode.types import BY_NAME
from tests.function_samples import VALUES

_DUCK_TYPES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "oid": "BIGINT",
    "float4": "FLOAT", "float8": "DOUBLE", "text": "VARCHAR", "bpchar": "VARCHAR",
    "name": "VARCHAR", "varchar": "VARCHAR", "bytea": "BLOB", "uuid": "UUID", "date": "DATE",
    "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP", "interval": "INTERVAL",
    "char": "VARCHAR",
}  # fmt: skip
_DAY = datetime.date(2000, 1, 1)
_EPOCH = datetime.datetime(2000, 1, 1)


def _literal(name, datum):
    """Write a datum as DuckDB text, as vecexec's physical types have it."""
    kind = _DUCK_TYPES[name]
    if datum is None:
        return f"CAST(NULL AS {kind})"
    if name == "date":
        if abs(datum) >= 2**31 - 1:
            return f"'{'-' if datum < 0 else ''}infinity'::DATE"
        return f"(DATE '2000-01-01' + {datum})"
    if name in ("timestamp", "timestamptz"):
        if abs(datum) >= 2**63 - 1:
            return f"'{'-' if datum < 0 else ''}infinity'::TIMESTAMP"
        return f"make_timestamp({datum + 946_684_800_000_000}::BIGINT)"
    if name == "time":
        return f"(TIME '00:00:00' + to_microseconds({datum}))" if datum < 86_400_000_000 else None
    if name == "interval":
        return (
            f"(to_months({datum.months}) + to_days({datum.days}) + to_microseconds({datum.micros}))"
        )
    if isinstance(datum, bytes):
        if name == "uuid":
            return f"'{uuid.UUID(bytes=datum)}'::UUID"
        return "'" + "".join(f"\\x{b:02X}" for b in datum) + "'::BLOB"
    if isinstance(datum, str):
        return "'" + datum.replace("'", "''") + "'::VARCHAR"
    return f"CAST('{datum}' AS {kind})"


def _plain(name, value):
    """Bring DuckDB's answer into datum form."""
    if isinstance(value, datetime.datetime):
        return round((value - _EPOCH) / datetime.timedelta(microseconds=1))
    if isinstance(value, datetime.date):
        return (value - _DAY).days
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, float) and value != value:
        return "NaN"
    return value


def _entries():
    casts = [rule.function for rule in REGISTRY.casts.values() if rule.function is not None]
    functions = itertools.chain(*REGISTRY.functions.values(), casts)
    return [
        f
        for f in functions
        if f.duck is not None
        and f.python is not None
        and not (f.needs_context or f.returns_set)
        and all(a.name in _DUCK_TYPES for a in (*f.arguments, f.result))
    ]


def _id(function):
    return f"{function.name}({','.join(a.name for a in function.arguments)})"


@pytest.fixture(scope="module")
def duck():
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


_STATE = re.compile(r"\[\[(\w{5})\]\]")


def _ask_duck(duck, function, names, datums):
    literals = [_literal(name, datum) for name, datum in zip(names, datums, strict=True)]
    if None in literals:
        return None
    try:
        # Through a table, so that nothing is folded before it runs.
        columns = ", ".join(f"{text} AS c{i}" for i, text in enumerate(literals)) or "1 AS c0"
        duck.execute(f"CREATE OR REPLACE TEMP TABLE t AS SELECT {columns}")
        template = function.duck.format(*[f"c{i}" for i in range(len(literals))])
        cast = _DUCK_TYPES[function.result.name]
        row = duck.execute(f"SELECT CAST({template} AS {cast}) FROM t").fetchone()
    except duckdb.Error as error:
        found = _STATE.search(str(error))
        return ("error", found[1] if found else "22003")
    return ("value", _plain(function.result.name, row[0]))


def _ask_python(function, datums):
    try:
        if function.strict and any(datum is None for datum in datums):
            return ("value", None)
        return ("value", _plain(function.result.name, function.python(*datums)))
    except SqlError as error:
        return ("error", error.sqlstate)


@pytest.mark.parametrize("function", _entries(), ids=_id)
def test_one_answer(duck, function):
    """If it fails, a query's answer depends on which executor happened to run it."""
    names = [argument.name for argument in function.arguments]
    pools = [
        [reader(BY_NAME[name])(text) for text in VALUES.get(name, VALUES["text"])] for name in names
    ]
    chosen = random.Random(_id(function))
    rows = list(itertools.product(*pools))
    rows = chosen.sample(rows, min(len(rows), 12))
    rows.append(tuple(None for _ in names))
    for datums in rows:
        answer = _ask_duck(duck, function, names, datums)
        if answer is not None:
            assert answer == _ask_python(function, datums), datums
