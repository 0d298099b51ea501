"""Scalars printed as SQL: what the catalog stores and \\d shows."""

import asyncio
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from sqlnode.catalog.snapshot import build_catalog
from sqlnode.catalog.system.expressions import shown_expression
from sqlnode.plan.bind import bind_expression
from sqlnode.plan.deparse import deparse
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.quoting import quote_literal, quote_name
from sqlnode.plan.scalar import AnyAll, Cast, Coerce, InList
from sqlnode.types import BY_NAME, NUMERIC, VARCHAR, SqlType, numeric_typmod
from tests.unit.sqlnode.catalog.memory_catalog import made_by

FOLDER = Path(__file__).parent
COLUMNS = tuple(
    OutColumn(number, name, sql_type, 1, number)
    for number, (name, sql_type) in enumerate(
        {
            **{"i": BY_NAME["int4"], "s": BY_NAME["int2"], "l": BY_NAME["int8"]},
            **{"n": SqlType(NUMERIC.oid, numeric_typmod(10, 2)), "t": BY_NAME["text"]},
            **{"v": SqlType(VARCHAR.oid, 24), "c": SqlType(1042, 5), "b": BY_NAME["bool"]},
            **{"d": BY_NAME["date"], "ts": BY_NAME["timestamptz"], "j": BY_NAME["jsonb"]},
            **{"f": BY_NAME["float8"], "r": BY_NAME["float4"], "u": BY_NAME["uuid"]},
            "order": BY_NAME["int4"],
        }.items(),
        start=1,
    )
)


def table(name):
    """Return the rows of a golden file."""
    lines = (FOLDER / name).read_text().splitlines()
    return [tuple(line.split("\t")) for line in lines if not line.startswith("#")]


def bound(sql):
    return bind_expression(sql, COLUMNS, catalog=build_catalog(1, [], []), search_path=("public",))


def plain(node):
    """Return a scalar with casts that were written and casts that were made alike."""
    if isinstance(node, tuple) and not isinstance(node, SqlType):
        return tuple(plain(item) for item in node)
    if not is_dataclass(node) or type(node).__module__ != "sqlnode.plan.scalar":
        return node
    kept = {f.name: plain(getattr(node, f.name)) for f in fields(node)}
    for name in ("explicit", "position"):
        if name in kept:
            kept[name] = None
    return replace(node, **kept)


def has_list(node):
    """Say whether IN stands in a scalar: it is stored as = ANY, as in PostgreSQL."""
    if isinstance(node, InList | AnyAll):
        return True
    if isinstance(node, tuple) and not isinstance(node, SqlType):
        return any(has_list(item) for item in node)
    return is_dataclass(node) and any(has_list(getattr(node, f.name)) for f in fields(node))


@pytest.mark.parametrize(("sql", "wanted", "pretty"), table("expressions.txt"))
def test_text_is_postgresqls(sql, wanted, pretty):
    """Schema tools that compare PostgreSQL's text of a check with ours would see changes."""
    scalar = bound(f"({sql}) is null")
    assert deparse(scalar).replace("\n", "\\n") == wanted
    assert deparse(scalar, pretty=True).replace("\n", "\\n") == pretty


@pytest.mark.parametrize("sql", [row[0] for row in table("expressions.txt")])
def test_text_binds_to_the_same_scalar(sql):
    """A stored check would mean something else after the next start than when it was created."""
    scalar = bound(f"({sql}) is null")
    again = bound(deparse(scalar))
    assert deparse(again) == deparse(scalar)
    assert bound(deparse(scalar, pretty=True)) is not None
    if not has_list(scalar) and "DISTINCT" not in deparse(scalar):
        assert plain(again) == plain(scalar)


def test_defaults_are_shown_as_in_postgresql():
    """Migration tools would find a difference in every default and want to alter the column."""
    rows = table("defaults.txt")
    columns = ", ".join(f"c{i} {row[0]} DEFAULT {row[1]}" for i, row in enumerate(rows))
    catalog = asyncio.run(made_by(f"CREATE TABLE t ({columns})"))
    (made,) = catalog.tables()
    shown = {
        row[1]: "-"
        if (column := made.find_column(f"c{i}")).default_sql is None
        else shown_expression(catalog, made, column.default_sql, ("public",))
        for i, row in enumerate(rows)
    }
    assert shown == {row[1]: row[2] for row in rows}


def test_constants_of_regclass_follow_a_rename():
    """A default would draw from a sequence that is gone."""
    catalog = asyncio.run(
        made_by("CREATE SEQUENCE a; CREATE TABLE t (x int DEFAULT nextval('a'));"
                "ALTER SEQUENCE a RENAME TO b")
    )  # fmt: skip
    (made,) = catalog.tables()
    sql = made.find_column("x").default_sql
    assert shown_expression(catalog, made, sql, ("public",)) == "nextval('b'::regclass)"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a", "a"), ("A", '"A"'), ("order", '"order"'), ("left", '"left"'), ("1a", '"1a"'),
     ('q"q', '"q""q"'), ("name", "name"), ("time", '"time"'), ("", '""'), ("é", '"é"')],
)  # fmt: skip
def test_identifiers_are_quoted_where_needed(name, quoted):
    """A column called order would make a stored check unreadable."""
    assert quote_name(name) == quoted


def test_string_constants_keep_backslashes():
    """A backslash in a default would double at each start."""
    assert quote_literal("a\\b'c") == "'a\\b''c'"


def test_casts_are_told_apart():
    """The comparison above would pass whatever a cast did."""
    assert isinstance(bound("i::numeric(5,2)"), Coerce)
    assert isinstance(bound("i::text"), Cast)
