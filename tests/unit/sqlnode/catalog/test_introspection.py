"""What drivers and schema tools ask the catalog, answered as PostgreSQL answers it.

introspection.txt holds the queries of SQLAlchemy's reflection, Django's inspectdb, asyncpg's and
psycopg's type lookups, pgbench and information_schema, with PostgreSQL 15's rows for schema.sql.
"""

import asyncio
import json
import re
from functools import cache
from pathlib import Path

import pytest

from sqlnode.catalog.descriptors import TableDesc, ViewDesc
from sqlnode.catalog.reg_names import reg_text
from sqlnode.catalog.system.oids import ROW_ARRAY_TYPE, ROW_TYPE, derived_oid
from sqlnode.catalog.system.rows_relations import indexes_of
from sqlnode.types import REGCLASS
from tests.unit.sqlnode.catalog.memory_catalog import PATH, ask, made_by

FOLDER = Path(__file__).parent
SCHEMA = Path(__file__).parents[3] / "e2e" / "psql_describe" / "schema.sql"
_NUMBER = re.compile(r"(?<!\d)\d{5,10}(?!\d)")
_NAME = re.compile(r"\{([^{}]+)\}")


@cache
def catalog():
    """Return the catalog of schema.sql."""
    return asyncio.run(made_by(SCHEMA.read_text()))


@cache
def oids():
    """Return the OIDs of relations, indexes and row types by the names the file uses."""
    found = {f"schema {s.name}": s.id for s in catalog().schemas.values() if s.name != "public"}
    for relation in catalog().relations.values():
        ids = [relation.id]
        if isinstance(relation, TableDesc):
            ids += [index.oid for index in indexes_of(relation)]
        for oid in ids:
            found[reg_text(REGCLASS.oid, oid, catalog(), PATH)] = oid
        if isinstance(relation, TableDesc | ViewDesc):
            name = reg_text(REGCLASS.oid, relation.id, catalog(), PATH)
            found[f"{name}%rowtype"] = derived_oid(relation.id, ROW_TYPE)
            found[f"{name}%rowtype[]"] = derived_oid(relation.id, ROW_ARRAY_TYPE)
    return found


def cases():
    """Yield (name, query, column names, rows) of the file."""
    for block in (FOLDER / "introspection.txt").read_text().split("@@@")[1:]:
        head, _, rest = block.partition("\n")
        query, _, answer = rest.partition("\n----\n")
        names, *rows = answer.splitlines()
        yield pytest.param(query, json.loads(names), rows, id=head)


def with_numbers(text):
    return _NAME.sub(lambda m: str(oids()[m[1]]) if m[1] in oids() else m[0], text)


def with_names(text):
    names = {str(oid): name for name, oid in oids().items()}
    return _NUMBER.sub(lambda m: f"{{{names[m[0]]}}}" if m[0] in names else m[0], text)


@pytest.mark.parametrize(("query", "names", "rows"), list(cases()))
def test_tools_get_the_answers_of_postgresql(query, names, rows):
    """A schema tool would see other tables, keys or defaults, or fail to start at all."""
    found_names, found = asyncio.run(ask(catalog(), with_numbers(query)))
    assert found_names == names
    shown = sorted(
        json.dumps([None if cell is None else with_names(cell) for cell in row]) for row in found
    )
    assert shown == rows
