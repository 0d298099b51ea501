"""Cursors and suspended portals are insensitive: rows fetched later are of DECLARE's snapshot.

Whatever reads as it is fetched is tried, here and in PostgreSQL: between two fetches another
session, or the cursor's own transaction, changes rows that are still to come.
"""

import asyncio

import asyncpg
import psycopg
import pytest

from tests.e2e.stack import Stack
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
SETUP = """
    create table item (id int primary key, kind int, size int);
    create index item_kind on item (kind);
    create table part (id int primary key, item_id int, size int);
    create index part_item on part (item_id);
    insert into item select n, n % 10, 1 from generate_series(1, 3000) n;
    insert into part select n, n, 1 from generate_series(1, 3000) n;
"""
# Far from the rows that come first; the last moves index entries, back and forth.
CHANGES = (
    "update item set size = 2 where id between 1501 and 2000",
    "delete from item where id between 2001 and 2100",
    "insert into item select 10000 + n, 3, 1 from generate_series(1, 100) n",
    "update part set size = 2 where id between 1801 and 2300",
    "delete from part where id > 2900",
    "update item set kind = 13 - kind where id between 2400 and 2500",
)
ROWS = ", ".join(f"({n})" for n in range(1, 2501))  # also a list of numbers
NONE_FIRST = ", ".join(["(null)"] * 1100 + [f"({n})" for n in range(1100, 2500)])
LAZY = (  # run by rowexec a thousand rows at a time
    f"select w.n, i.size from (values {ROWS}) w(n) join item i on i.id = w.n",
    f"select w.n, i.size from (values {ROWS}) w(n) left join item i on i.id = w.n",
    f"select w.n, i.size from (values {NONE_FIRST}) w(n) left join item i on i.id = w.n",
    f"select w.n, i.size, p.size from (values {ROWS}) w(n) join item i on i.id = w.n"
    " left join part p on p.id = i.id",
    f"select w.n, i.size from (values {ROWS}) w(n) join item i on i.id = w.n where i.size = 1",
    "select id, size from item",
    "select id, size from item limit 2900",
    "select id, size from item offset 5",
)
OTHERS = (
    "select i.id, i.size, p.size from item i join part p on p.id = i.id",
    "select id, size from item where kind >= 2",
    "select id, size from item order by kind, id limit 2800",
    "select id, (select size from part p where p.id = i.id) from item i",
    "select id, size from item i where exists"
    " (select 1 from part p where p.item_id = i.id and p.size = 1)",
    "select i.id, p.size from item i, lateral"
    " (select size from part where item_id = i.id limit 1) p",
    "select id, size, sum(size) over (partition by kind) from item",
    "select id, size from item union all select id, size from part",
    "with i as (select id, size from item) select i.id, i.size, p.size from i join part p"
    " using (id)",
    "select distinct kind, size from item",
    "select nextval('number') > 0, id, size from item",
)
QUERIES = (*LAZY, *OTHERS)
LOCKING = (  # what is locked is as new as the FETCH
    "select id, size from item for update",
    "select id, size from item order by id for no key update",
    "select id, size from item where kind >= 0 for update",
    "select id, size from item where size = 1 for share",
    "select id, size from item limit 2900 for update",
    f"select id, size from item where id in ({ROWS}) and size > 0 for update",
    f"select id, size from item where id = any(array[{ROWS}]) for no key update",
    "select i.id, i.size, p.size from item i join part p on p.id = i.id for update of i",
    "select i.id, i.size, p.size from item i left join part p on p.id = i.id for share of i",
    "select i.id, i.size, p.size from item i join part p on p.id = i.id for update",
)


async def fetched(url, *, level, who, style, queries=QUERIES):
    """Return the rows of all queries; each began before the changes and went on after them."""
    reader, writer = await asyncpg.connect(url), await asyncpg.connect(url)
    await writer.execute(SETUP + "create sequence number")
    try:
        async with reader.transaction(isolation=level):
            fetch = {"cursor": _declared, "portal": _portals}[style]
            cursors = await fetch(reader, queries)
            rows = [await cursor(7) for cursor in cursors]
            for sql in CHANGES:
                await (writer if who == "another" else reader).execute(sql)
            seen = await reader.fetchval("select sum(size) from item")
            for cursor, taken in zip(cursors, rows, strict=True):
                taken += await cursor(7)
                taken += await cursor(10_000)
    finally:
        await writer.execute("drop table item, part; drop sequence number")
        await asyncio.gather(reader.close(), writer.close())
    return seen, [sorted(map(tuple, taken), key=repr) for taken in rows]


async def _declared(reader, queries):
    for n, query in enumerate(queries):
        await reader.execute(f"declare c{n} cursor for {query}")
    return [
        lambda count, n=n: reader.fetch(f"fetch {count} from c{n}") for n in range(len(queries))
    ]


async def _portals(reader, queries):
    return [(await reader.cursor(query)).fetch for query in queries]


@pytest.fixture(scope="module")
def postgres_url():
    """A PostgreSQL to compare with."""
    with postgres() as url:
        settings = dict(pair.split("=") for pair in url.split())
        yield f"postgresql://postgres@/postgres?host={settings['host']}"


@pytest.mark.parametrize("style", ["cursor", "portal"])
@pytest.mark.parametrize("who", ["another", "itself"])
@pytest.mark.parametrize("level", ["read_committed", "repeatable_read"])
def test_a_cursor_sees_no_later_change(stack, postgres_url, level, who, style):
    """A report fetched in pieces would mix two states: sums that never were, rows twice."""
    ours, theirs = (
        asyncio.run(fetched(url, level=level, who=who, style=style))
        for url in (stack.url("acme"), postgres_url)
    )
    compare(QUERIES, ours, theirs)


@pytest.mark.parametrize("style", ["cursor", "portal"])
@pytest.mark.parametrize(
    ("level", "who"),
    [("read_committed", "another"), ("read_committed", "itself"), ("repeatable_read", "itself")],
)
def test_a_locking_cursor_locks_as_it_is_fetched(stack, postgres_url, level, who, style):
    """Rows nobody has fetched would keep others waiting; rows written meanwhile come stale."""
    ours, theirs = (
        asyncio.run(fetched(url, level=level, who=who, style=style, queries=LOCKING))
        for url in (stack.url("acme"), postgres_url)
    )
    compare(LOCKING, ours, theirs)


def test_a_locking_cursor_leaves_out_what_was_staged_since(postgres_url):
    """A row that a large statement of the transaction has changed would come stale."""
    with Stack(config="[sqlnode]\nstage_bytes = 4096\n") as small:
        small.create_tenant("acme")
        ours, theirs = (
            asyncio.run(
                fetched(url, level="read_committed", who="itself", style="cursor", queries=LOCKING)
            )
            for url in (small.url("acme"), postgres_url)
        )
    compare(LOCKING, ours, theirs)


def test_a_locking_cursor_is_refused_to_a_read_only_transaction(stack):
    """What was promised to lock nothing would keep writers waiting."""
    with stack.connect("acme") as connection:
        connection.execute("create table locked (id int primary key)")
        connection.execute("begin read only")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("declare c cursor for select id from locked for update")
        connection.execute("rollback")
        connection.execute("drop table locked")


def compare(queries, ours, theirs):
    """Fail with the first difference."""
    assert ours[0] == theirs[0], "the changes are seen by other statements as they should"
    for query, mine, right in zip(queries, ours[1], theirs[1], strict=True):
        changed = [pair for pair in zip(mine, right, strict=False) if pair[0] != pair[1]][:3]
        assert mine == right, f"{query[:50]} … {query[-80:]}: {len(mine)} {len(right)} {changed}"


def test_a_cursor_is_of_its_time_after_going_back_to_a_savepoint(stack):
    """What is undone would be missing, or the rows of a cursor that outlives it would change."""
    with stack.connect("acme") as connection:
        connection.execute(SETUP)
        connection.execute("begin isolation level read committed")
        connection.execute("update item set size = 5 where id = 2400")
        connection.execute(f"declare c cursor for {LAZY[0]}")
        rows = connection.execute("fetch 5 from c").fetchall()
        connection.execute("savepoint s")
        connection.execute("update item set size = 7")
        rows += connection.execute("fetch 1000 from c").fetchall()
        connection.execute("rollback to s")
        connection.execute("update item set size = 9")
        rows += connection.execute("fetch all from c").fetchall()
        connection.execute("rollback")
        connection.execute("drop table item, part")
    assert rows == [(n, 5 if n == 2400 else 1) for n in range(1, 2501)]


def test_what_cursors_cannot_do_is_refused_by_name(stack):
    """A driver would take rows of a cursor that is not what it asked for."""
    with stack.connect("acme") as connection:
        for sql in (
            "declare c cursor with hold for select 1",
            "declare c scroll cursor for select 1",
            "update pg_class set relname = '' where current of c",
            "delete from pg_class where current of c",
        ):
            connection.execute("begin")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(sql)
            connection.execute("rollback")
        for fetch in ("backward 1", "prior", "first", "last", "absolute 1", "-1", "backward all"):
            connection.execute("begin; declare c no scroll cursor for select 1; fetch c")
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                connection.execute(f"fetch {fetch} from c")
            connection.execute("rollback")
