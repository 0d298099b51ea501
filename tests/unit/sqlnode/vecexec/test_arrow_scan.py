"""Stored rows to Arrow: forms of numeric, infinities, narrowed spans, the cache of tables."""

import itertools
from decimal import Decimal

import numpy as np
import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.row_columns import FixedColumn, VarColumn
from kvapi.row_layout import DEC64_NAN, StorageKind
from runtime.clock import SystemClock
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.txn import Transaction
from sqlnode.types import DATE, NUMERIC, TIMESTAMP, SqlType, numeric_typmod
from sqlnode.vecexec.arrow_columns import finish_column, to_arrow_column
from sqlnode.vecexec.arrow_scan import TableSource
from sqlnode.vecexec.arrow_values import to_datums
from sqlnode.vecexec.table_cache import CachedTable, TableCache, process_cache
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.unit.sqlnode.vecexec import flights, sql_text
from tests.unit.sqlnode.vecexec.running import collect, context

FARES = ("fares",)


def texts(*items):
    data = "".join(item or "" for item in items).encode()
    offsets = np.cumsum([0, *(len((item or "").encode()) for item in items)]).astype(np.int64)
    nulls = np.array([item is None for item in items])
    nulls = nulls if nulls.any() else None
    return VarColumn(StorageKind.NUMERIC, offsets, np.frombuffer(data, np.uint8), nulls)


def finished(column, sql_type):
    array, form = finish_column([to_arrow_column(column, sql_type)], sql_type)
    return [None if d is None else f"{d:f}" for d in to_datums(array, form)], form


@pytest.mark.parametrize(
    ("stored", "is_fixed"),
    [
        (("1.50", "-2.25", None), True),
        (("1.5", "2.25"), False),
        (("1", "22"), True),
        (("NaN", "1.0"), False),
        (("1" * 39,), False),
        (("0E-8", "0.00000001"), True),
    ],
)
def test_numeric_is_fixed_where_all_scales_agree(stored, is_fixed):
    """A DECIMAL of another scale would print figures that nobody stored."""
    datums, form = finished(texts(*stored), NUMERIC)
    assert form.is_fixed is is_fixed
    assert datums == [None if t is None else f"{Decimal(t):f}" for t in stored]


def test_numeric_nan_makes_a_scaled_column_text():
    """NaN has no place in DECIMAL and must not become a number."""
    column = FixedColumn(StorageKind.DEC64, np.array([150, DEC64_NAN]), None, 2)
    datums, form = finished(column, SqlType(1700, numeric_typmod(10, 2)))
    assert (datums, form.is_fixed) == (["1.50", "NaN"], False)


@pytest.mark.parametrize(
    ("sql_type", "kind", "dtype", "values"),
    [
        (DATE, StorageKind.I4, np.int32, [0, -1, 2**31 - 1, -(2**31), 8000]),
        (TIMESTAMP, StorageKind.I8, np.int64, [0, -1, 2**63 - 1, -(2**63), 10**15]),
    ],
)
def test_infinite_dates_stay_infinite(sql_type, kind, dtype, values):
    """`valid_to = infinity` marks the current version of a row."""
    column = FixedColumn(kind, np.array(values, dtype), None)
    array, form = finish_column([to_arrow_column(column, sql_type)], sql_type)
    assert to_datums(array, form) == values


async def test_every_type_survives_the_way_through_the_engine():
    """What was stored comes back, in every type a column can have."""
    ctx = context((), sql_text.store(FARES).begin(), flights.catalog())
    query = sql_text.bound("select * from fares order by id")
    rows = await collect(query.plan, query.columns, ctx)
    assert rows == flights.datum_rows("fares")


class Spans(TableSource):
    """Notes which spans are read."""

    def __init__(self):
        self.spans = []

    async def read(self, leaf, ctx, terms):
        self.spans.append(terms.spans((), ctx) if terms is not None else None)
        return await super().read(leaf, ctx, terms)


@pytest.mark.parametrize(
    ("where", "is_narrow"),
    [
        ("f.id = 5", True),
        ("f.id between 3 and 9 and f.price > 0", True),
        ("f.id < 9 or f.price > 0", False),
        ("f.price = 5", False),
        ("g.id > 390", True),
    ],
)
async def test_conditions_on_the_key_narrow_the_scan(where, is_narrow):
    """A report on the last day must not read ten years."""
    source = Spans()
    ctx = context((), sql_text.store(FARES).begin(), flights.catalog())
    query = sql_text.bound(
        f"select count(*) from fares f join fares g on f.id = g.id + 1 where {where}"
    )
    narrow = await collect(query.plan, query.columns, ctx, source)
    assert any(spans is not None for spans in source.spans) is is_narrow
    whole = codec_of(flights.table("fares")).span
    assert all(whole.start <= s.start and s.end <= whole.end for spans in source.spans
               for s in spans or ())  # fmt: skip
    assert len(narrow) == 1


async def test_outer_joins_are_not_narrowed_from_above():
    """Rows that ON excluded come back with NULLs; a WHERE must not turn matches into those."""
    sql = "select count(*) from fares f left join fares g on g.id = f.id where g.id = 5"
    assert (await sql_text.answer(sql, names=FARES))[2] == [("1",)]
    sql = "select count(*), count(g.id) from fares f left join fares g on g.id = f.id and g.id < 3"
    assert (await sql_text.answer(sql, names=FARES))[2] == [("400", "2")]


def test_cache_is_bounded():
    """Many large tables must not fill the process's memory."""
    cache = TableCache(bytes_max=1000)

    class Array:
        nbytes = 400

    for n in range(5):
        cache.put((n, ()), CachedTable(1, 1, {(1, 23, -1): (Array(), None)}))
    assert [n for n in range(5) if cache.get((n, ())) is not None] == [3, 4]
    Array.nbytes = 600
    cache.put((9, ()), CachedTable(1, 1, {(1, 23, -1): (Array(), None)}))
    assert cache.get((9, ())) is None


@pytest.fixture
async def node(tmp_path):
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    client = KvClient(server.address("unix"), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(CREDENTIAL)
    ids = itertools.count(1)
    codec = codec_of(flights.table("fares"))
    for row in flights.datum_rows("fares")[:20]:
        server.store.put(codec.row_key(row), codec.encode_row(row))

    def begin():
        return Transaction(client, txn_id=next(ids).to_bytes(16, "big"), catalog_version=0)

    process_cache().drop((flights.table("fares").key_id, (1,)))
    yield server, begin
    process_cache().drop((flights.table("fares").key_id, (1,)))
    await client.close()
    await server.stop()


async def test_joins_of_kept_tables_see_changes(node):
    """A table kept inside the engine must never answer for rows that have changed."""
    server, begin = node
    query = sql_text.bound(
        "select count(*), sum(b.id) from fares a join fares b on a.code = b.code and a.id = b.id"
    )

    async def ask():
        ctx = context((), begin(), flights.catalog())
        return (await collect(query.plan, query.columns, ctx))[0]

    assert [await ask() for _ in range(3)] == [(20, 210)] * 3
    codec = codec_of(flights.table("fares"))
    row = flights.datum_rows("fares")[20]
    server.store.put(codec.row_key(row), codec.encode_row(row))
    assert [await ask() for _ in range(2)] == [(21, 231)] * 2


async def test_unchanged_tables_are_read_once(node):
    """Dashboards ask the same tables again and again; one validation replaces the scan."""
    server, begin = node
    query = sql_text.bound("select count(*), sum(id) from fares")

    async def ask(txn):
        ctx = context((), txn, flights.catalog())
        return (await collect(query.plan, query.columns, ctx))[0]

    assert await ask(begin()) == (20, 210)
    scans = dict(server.store.request_counts).get("scan", 0)
    assert await ask(begin()) == (20, 210)
    assert dict(server.store.request_counts).get("scan", 0) == scans
    codec = codec_of(flights.table("fares"))
    row = flights.datum_rows("fares")[20]
    server.store.put(codec.row_key(row), codec.encode_row(row))
    assert await ask(begin()) == (21, 231)
    own = begin()
    other = flights.datum_rows("fares")[21]
    own.put(codec.row_key(other), codec.encode_row(other))
    assert await ask(own) == (22, 253)
    assert await ask(begin()) == (21, 231)
