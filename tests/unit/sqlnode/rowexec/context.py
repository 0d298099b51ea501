"""A statement's surroundings for tests: an in-memory transaction and fake sequences."""

from types import SimpleNamespace

from pgwire.codecs.settings import DEFAULT_SETTINGS
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.rowexec.table_codec import codec_of
from tests.fakes.memory_txn import MemoryStore


class FakeSequences:
    def __init__(self):
        self.values = {}

    async def nextval(self, sequence_id):
        return (await self.nextvals(sequence_id, 1))[0]

    async def nextvals(self, sequence_id, count):
        start = self.values.get(sequence_id, 0)
        self.values[sequence_id] = start + count
        return list(range(start + 1, start + count + 1))

    async def row_ids(self, table_id, count):
        return await self.nextvals(-table_id, count)


def make_ctx(*params, store=None, tables=(), **fields):
    store = store if store is not None else MemoryStore()
    return SimpleNamespace(
        txn=store.begin(),
        catalog=build_catalog(1, tables, ()),
        params=params,
        settings=DEFAULT_SETTINGS,
        session=SimpleNamespace(variables={}),
        sequences=FakeSequences(),
        commit_follows=False,
        rows_wanted=None,
        store=store,
        **fields,
    )


def fill(store, table, rows):
    """Store full rows and their index entries."""
    codec = codec_of(table)
    for row in rows:
        store.values[codec.row_key(row)] = codec.encode_row(row)
        store.values.update(codec.entries(row))


def stored(store, table):
    """All rows of a table, after checking that its indexes hold just their entries."""
    codec = codec_of(table)
    rows = [codec.decode_row(v) for k, v in sorted(store.values.items()) if codec.span.contains(k)]
    for index in codec.indexes:
        entries = {k: v for k, v in store.values.items() if index.span.contains(k)}
        assert entries == dict(index.entry(row) for row in rows), index.desc.name
    return rows


async def rows_of(executable, ctx):
    return [row async for batch in executable.run(ctx) for row in batch]
