"""SQL text through binder and vecexec, with answers as PostgreSQL would send them."""

import asyncio
from functools import cache

from pgwire.codecs.registry import text_output
from pgwire.codecs.settings import DEFAULT_SETTINGS
from pgwire.sql_error import SqlError
from sqlnode.parse.query import QueryParser
from sqlnode.plan.bind import bind_statement
from sqlnode.rowexec.table_codec import codec_of
from tests.fakes.memory_txn import MemoryStore
from tests.unit.sqlnode.vecexec import flights
from tests.unit.sqlnode.vecexec.running import collect, context


@cache
def store(names=None):
    """Return a store that holds tables, all of them if no names are given."""
    made = MemoryStore()
    for name in names or flights.names():
        codec = codec_of(flights.table(name))
        for row in flights.stored_rows(name):
            made.values[codec.row_key(row)] = codec.encode_row(row)
    return made


def bound(sql):
    """Bind one query."""
    return bind_statement(
        QueryParser(sql).query(), text=sql, catalog=flights.catalog(), search_path=("public",)
    ).bound


async def answer(sql, params=(), names=None):
    """Return (names, type oids, rows of text), or the SQLSTATE."""
    try:
        query = bound(sql)
        ctx = context(params, store(names).begin(), flights.catalog())
        ctx.txn.block_rows = 4000
        rows = await collect(query.plan, query.columns, ctx)
    except SqlError as error:
        return error.sqlstate if error.sqlstate not in ("XX000", "0A000") else repr(error)
    outputs = [text_output(column.type.oid, DEFAULT_SETTINGS) for column in query.columns]
    return (
        [column.name for column in query.columns],
        [column.type.oid for column in query.columns],
        [
            tuple(
                None if datum is None else write(datum)
                for datum, write in zip(row, outputs, strict=True)
            )
            for row in rows
        ],
    )


def run(sql, params=()):
    """Return the answer, from a test that is not a coroutine."""
    return asyncio.run(answer(sql, params))
