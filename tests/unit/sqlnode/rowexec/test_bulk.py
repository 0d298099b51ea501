"""COPY FROM: text fields to stored rows."""

import pytest

from pgwire.errors import BadCopyFileFormat, SqlError
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.bulk import BulkLoader, empty_source
from sqlnode.types import DATE, INT4, INT8, SqlType
from tests.fakes.memory_txn import MemoryStore
from tests.unit.sqlnode.rowexec.context import make_ctx, stored
from tests.unit.sqlnode.rowexec.tables import make_table

T = make_table(
    [
        ("r", INT8, {"hidden": True}), ("a", INT4, {"not_null": True}),
        ("b", SqlType(1043, 7)), ("d", DATE),
    ],
    ("r",),
)  # fmt: skip


def loader(store, attnums=(2, 3, 4)):
    columns = tuple(OutColumn(n, c.name, c.type, T.id, c.attnum) for n, c in enumerate(T.columns))
    ctx = make_ctx(store=store, tables=(T,))
    source = empty_source([c for c in columns if c.attnum in attnums])
    return ctx, BulkLoader(Insert(T, attnums, source, {}, columns), ctx)


async def test_texts_become_rows():
    """COPY loads something else than INSERT would."""
    store = MemoryStore()
    ctx, bulk = loader(store)
    await bulk.add([["1", "abc", "2000-01-02"], ["2", None, None]])
    await bulk.add([["1", "abc", "2000-01-02"]])
    assert await bulk.finish() == 3
    await ctx.txn.commit()
    assert [row[1:] for row in stored(store, T)] == [(1, "abc", 1), (2, None, None), (1, "abc", 1)]
    ctx, bulk = loader(store, (2,))
    await bulk.add([["9"]])
    await bulk.finish()
    await ctx.txn.commit()
    assert (9, None, None) in [row[1:] for row in stored(store, T)]


@pytest.mark.parametrize(
    ("line", "sqlstate", "context"),
    [
        (["x", "a", None], "22P02", 'COPY t, line 2, column a: "x"'),
        (["1", "abcd", None], "22001", 'COPY t, line 2, column b: "abcd"'),
        ([None, "a", None], "23502", "COPY t, line 2"),
        (["1", "a"], "22P04", "COPY t, line 2"),
        (["1", "a", None, "z"], "22P04", "COPY t, line 2"),
    ],
)
async def test_errors_name_line_and_column(line, sqlstate, context):
    """A bad line among a million cannot be found, or half of the load stays."""
    ctx, bulk = loader(MemoryStore())

    async def load():
        await bulk.add([["1", "abc", None], line])
        await bulk.finish()

    with pytest.raises(SqlError) as caught:
        await load()
    assert caught.value.sqlstate == sqlstate
    assert caught.value.context == context
    assert not ctx.txn.writes


async def test_missing_data_names_the_column():
    """The message does not say which column is missing."""
    _, bulk = loader(MemoryStore())
    with pytest.raises(BadCopyFileFormat, match='missing data for column "d"'):
        await bulk.add([["1", "a"]])
