"""vecexec against a real PostgreSQL: same columns, types, rows, text and errors."""

import asyncio
import math

import pytest

from tests.unit.sqlnode.vecexec import postgres, queries, sql_text

FLOAT8_OID = 701


@pytest.fixture(scope="module")
def server():
    with postgres.running() as connection:
        yield connection


def _same_value(ours, theirs, oid):
    """Floats may differ in the last digit: the order of additions is nobody's promise."""
    if ours == theirs:
        return True
    if oid != FLOAT8_OID or ours is None or theirs is None:
        return False
    return math.isclose(float(ours), float(theirs), rel_tol=1e-12)


def _difference(sql, ours, theirs):
    if isinstance(ours, str) or isinstance(theirs, str):
        return None if ours == theirs else (ours, theirs)
    if ours[:2] != theirs[:2]:
        return ours[:2], theirs[:2]
    if "order by" not in sql.lower().rpartition(")")[2]:
        ours[2].sort(key=repr)
        theirs[2].sort(key=repr)
    if len(ours[2]) != len(theirs[2]):
        return len(ours[2]), len(theirs[2])
    for our_row, their_row in zip(ours[2], theirs[2], strict=True):
        if not all(map(_same_value, our_row, their_row, ours[1])):
            return our_row, their_row
    return None


@pytest.mark.parametrize("part", range(8))
def test_answers_are_postgresqls(server, part):
    """A report that a client moves here from PostgreSQL must show the same figures."""

    async def check():
        found = {}
        for sql in queries.ALL[part::8]:
            theirs = postgres.answer(server, sql)
            difference = _difference(sql, await sql_text.answer(sql), theirs)
            if difference is not None:
                found[sql] = difference
        return found

    found = asyncio.run(check())
    assert not found, "\n".join(f"{sql}\n  {difference}" for sql, difference in found.items())
