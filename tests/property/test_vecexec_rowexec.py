"""What both executors can run must give the same rows: which one runs is only a matter of speed."""

import asyncio

from pgwire.sql_error import SqlError
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import compile_query
from tests.unit.sqlnode.vecexec import flights, queries, sql_text
from tests.unit.sqlnode.vecexec.running import collect, context


async def _rows(executable, ctx):
    try:
        rows = []
        async for batch in executable.run(ctx):
            rows += batch
        return rows
    except SqlError as error:
        return error.sqlstate


def _shown(rows, sql):
    if isinstance(rows, str):
        return rows
    shown = [tuple(f"{d:.12g}" if isinstance(d, float) else str(d) for d in row) for row in rows]
    return shown if "order by" in sql.lower().rpartition(")")[2] else sorted(shown)


async def _both(sql):
    """Return both answers, or None where rowexec does not run the query."""
    bound = sql_text.bound(sql)
    try:
        row_query = compile_query(bound, flights.catalog(), lambda: _never())
    except NotRowShape:
        return None
    ctx = [context((), sql_text.store().begin(), flights.catalog()) for _ in range(2)]
    try:
        by_rows = await _rows(row_query, ctx[0])
    except _TooLarge:
        return None
    try:
        by_vectors = await collect(bound.plan, bound.columns, ctx[1])
    except SqlError as error:
        by_vectors = error.sqlstate
    return _shown(by_rows, sql), _shown(by_vectors, sql)


class _TooLarge(Exception):
    pass


def _never():
    raise _TooLarge


def test_executors_agree():
    """A query must not change its answer when its table grows past rowexec's budget."""

    async def check():
        different, count = {}, 0
        for sql in queries.ALL:
            if "random()" in sql:
                continue
            try:
                answers = await _both(sql)
            except SqlError:
                continue
            if answers is not None:
                count += 1
                if answers[0] != answers[1]:
                    different[sql] = [a[:2] if isinstance(a, list) else a for a in answers]
        return different, count

    different, count = asyncio.run(check())
    assert not different, "\n".join(f"{sql}\n  {both}" for sql, both in different.items())
    assert count > 20
