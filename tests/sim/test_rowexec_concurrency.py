"""SQL of several sessions over one KV node: contention may delay it, never change sums."""

import asyncio
import random

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError
from pgwire.errors import SqlError, UniqueViolation
from runtime.clock import SystemClock
from sqlnode.catalog.descriptors import FkAction, ForeignKeyDesc
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.kv_errors import sql_error
from sqlnode.parse.dml import DmlParser
from sqlnode.plan.bind import bind_statement
from sqlnode.plan.statement import Query
from sqlnode.rowexec.dml import compile_dml
from sqlnode.rowexec.query import compile_query
from sqlnode.sequences import CounterCache, SessionSequences
from sqlnode.txn import Transaction
from sqlnode.types import INT4, INT8
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.unit.sqlnode.rowexec.context import make_ctx
from tests.unit.sqlnode.rowexec.tables import make_table

ACCOUNTS = make_table([("id", INT4), ("b", INT4)], ("id",), table_id=20000, name="accounts")
HISTORY = make_table(
    [("r", INT8, {"hidden": True}), ("id", INT4), ("d", INT4)], ("r",), table_id=30000, name="hist"
)
KEY = ForeignKeyDesc(1, "c_fkey", (2,), 20000, (1,), FkAction.NO_ACTION, FkAction.CASCADE)
CHILDREN = make_table(
    [("x", INT4), ("p", INT4)], ("x",), table_id=40000, name="children", foreign_keys=(KEY,),
    indexes=[("children_p", ("p",), False)],
)  # fmt: skip
OWNERS = make_table(
    [("id", INT4), ("u", INT4)], ("id",), table_id=50000, name="owners",
    indexes=[("owners_u", ("u",), True)],
)  # fmt: skip
PET_OF = ForeignKeyDesc(2, "p_fkey", (2,), 50000, (2,), FkAction.NO_ACTION, FkAction.NO_ACTION)
PETS = make_table(
    [("x", INT4), ("u", INT4)], ("x",), table_id=60000, name="pets", foreign_keys=(PET_OF,)
)
CATALOG = build_catalog(1, [ACCOUNTS, HISTORY, CHILDREN, OWNERS, PETS], ())


class Cluster:
    def __init__(self, client, seed):
        self.client = client
        self.rng = random.Random(seed)
        self.cache = CounterCache(client)

    def begin(self, isolation="serializable"):
        return Transaction(
            self.client, txn_id=self.rng.randbytes(16), catalog_version=0, isolation=isolation
        )

    async def run(self, txn, sql, *, commit_follows=False):
        bound = bind_statement(
            DmlParser(sql).planned_statement(), text=sql, catalog=CATALOG, search_path=("public",)
        ).bound
        ctx = make_ctx(tables=())
        ctx.txn, ctx.catalog, ctx.commit_follows = txn, CATALOG, commit_follows
        ctx.sequences = SessionSequences(self.cache, lambda: CATALOG)
        txn.begin_statement()
        if isinstance(bound, Query):
            return [row async for rows in compile_query(bound, CATALOG).run(ctx) for row in rows]
        return await compile_dml(bound, CATALOG, None).run(ctx)

    async def block(self, *statements, isolation="serializable", tries=200):
        """Run a transaction, again for as long as it meets others. Returns the last result."""
        for _ in range(tries):
            txn = self.begin(isolation)
            try:
                results = [
                    await self.run(txn, sql, commit_follows=len(statements) == 1)
                    for sql in statements
                ]
                await txn.commit()
                return results[-1]
            except KvError as error:
                await txn.rollback()
                if not error.retryable:
                    raise sql_error(error, CATALOG) from error
            except SqlError:
                await txn.rollback()
                raise
        raise AssertionError("no progress")


@pytest.fixture
async def cluster(tmp_path):
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    client = KvClient(server.address("unix"), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(CREDENTIAL)
    yield Cluster(client, 1)
    await client.close()
    await server.stop()


async def test_a_point_update_never_conflicts(cluster):
    """Ten sessions that pay into one account abort each other."""
    await cluster.block("insert into accounts values (1, 0)")

    async def pay():
        for _ in range(10):
            await cluster.block("update accounts set b = b + 1 where id = 1", tries=1)

    await asyncio.gather(*[pay() for _ in range(10)])
    assert await cluster.block("select b from accounts where id = 1") == [(100,)]


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
async def test_transfers_keep_the_sum(cluster, isolation):
    """Money appears or disappears."""
    rows = ", ".join(f"({n}, 100)" for n in range(5))
    await cluster.block(f"insert into accounts values {rows}")

    async def transfer(seed):
        rng = random.Random(seed)
        for _ in range(8):
            a, b = sorted(rng.sample(range(5), 2))
            amount = rng.randrange(50)
            await cluster.block(
                f"update accounts set b = b - {amount} where id = {a}",
                f"update accounts set b = b + {amount} where b + id - b = {b}",
                f"insert into hist values ({a}, {-amount}), ({b}, {amount})",
                isolation=isolation,
            )

    await asyncio.gather(*[transfer(seed) for seed in range(5)])
    assert sum(b for _, b in await cluster.block("select id, b from accounts")) == 500
    history = await cluster.block("select id, d from hist")
    assert len(history) == 80
    assert sum(d for _, d in history) == 0


async def test_upserts_count_every_time(cluster):
    """Two first upserts of one key lose one, or fail."""

    async def upsert():
        for n in range(5):
            await cluster.block(
                f"insert into accounts values ({n}, 1) "
                "on conflict (id) do update set b = accounts.b + excluded.b"
            )

    await asyncio.gather(*[upsert() for _ in range(6)])
    assert await cluster.block("select b from accounts") == [(6,)] * 5


async def test_one_of_two_equal_inserts_wins(cluster):
    """Two rows with one key, or nobody is told."""

    async def insert(n):
        try:
            await cluster.block(f"insert into accounts values (1, {n})")
        except UniqueViolation as error:
            assert error.detail == "Key (id)=(1) already exists."  # noqa: PT017 - one of many
            return 0
        return 1

    assert sum(await asyncio.gather(*[insert(n) for n in range(8)])) == 1


LEVELS = ["serializable", "repeatable read", "read committed"]


@pytest.mark.parametrize("parents_level", LEVELS)
@pytest.mark.parametrize("childrens_level", LEVELS)
async def test_no_child_outlives_its_parent(cluster, childrens_level, parents_level):
    """A child is inserted while its parent is deleted."""

    async def insert(n):
        try:
            await cluster.block(f"insert into children values ({n}, 1)", isolation=childrens_level)
        except SqlError as error:
            assert error.sqlstate == "23503"  # noqa: PT017 - one of many
            return False
        return True

    for round_number in range(10):
        await cluster.block("insert into accounts values (1, 0)")
        await asyncio.gather(
            insert(3 * round_number),
            insert(3 * round_number + 1),
            cluster.block("delete from accounts where id = 1", isolation=parents_level),
            insert(3 * round_number + 2),
        )
        assert await cluster.block("select * from accounts") == []
        assert await cluster.block("select * from children") == []


async def refuses_orphans(cluster, adder, remover, remove, table):
    """Run `remove` while a child is added but not committed; one of the two has to give way."""
    outcomes = []

    async def removing():
        try:
            await cluster.run(remover, remove)
            await remover.commit()
            outcomes.append("removed")
        except (KvError, SqlError):
            await remover.rollback()

    task = asyncio.ensure_future(removing())
    await asyncio.sleep(0.02)  # it waits for the lock, or has looked for children in vain
    try:
        await adder.commit()
        outcomes.append("added")
    except KvError:
        await adder.rollback()
    await task
    children = await cluster.block(f"select * from {table}")
    if "removed" in outcomes:
        assert children == [], "the child has lost its parent"
    else:
        assert bool(children) == ("added" in outcomes)
    assert outcomes, "both gave way"


@pytest.mark.parametrize("parents_level", LEVELS)
@pytest.mark.parametrize("childrens_level", LEVELS)
@pytest.mark.parametrize(
    ("parents", "children"), [("accounts", "children"), ("owners", "pets")], ids=["cascade", "none"]
)
async def test_a_waiting_delete_sees_the_child_it_waited_for(
    cluster, parents, children, childrens_level, parents_level
):
    """The child was committed while the delete of its parent waited: an orphan."""
    await cluster.block(f"insert into {parents} values (1, 1)")
    adder, remover = cluster.begin(childrens_level), cluster.begin(parents_level)
    await cluster.run(remover, f"select * from {parents} where id = 7")  # fixes its snapshot
    await cluster.run(adder, f"insert into {children} values (1, 1)")
    remove = f"delete from {parents} where id = 1"
    await refuses_orphans(cluster, adder, remover, remove, children)


@pytest.mark.parametrize("level", LEVELS)
async def test_a_parent_that_took_another_key_is_none(cluster, level):
    """The parent's row is still there, but not what the child refers to."""
    await cluster.block("insert into owners values (1, 5)")
    adder, mover = cluster.begin(level), cluster.begin("serializable")
    await cluster.run(mover, "update owners set u = 6 where id = 1")
    adding = asyncio.ensure_future(cluster.run(adder, "insert into pets values (1, 5)"))
    await asyncio.sleep(0.02)
    await mover.commit()
    with pytest.raises((SqlError, KvError)):  # noqa: PT012 - when depends on the level
        await adding
        await adder.commit()
    assert await cluster.block("select * from pets") == []


@pytest.mark.parametrize("level", LEVELS)
async def test_a_race_of_on_conflict_is_no_duplicate_key(cluster, level):
    """INSERT .. ON CONFLICT is written so as not to fail on duplicates."""
    first, second = cluster.begin(level), cluster.begin(level)
    await cluster.run(first, "insert into owners values (2, 5)")
    text = "insert into owners values (1, 5) on conflict (u) do nothing"
    waiting = asyncio.ensure_future(cluster.run(second, text))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await first.commit()
    await waiting
    await second.commit()
    assert await cluster.block(text, isolation=level) is not None
    assert await cluster.block("select id from owners") == [(2,)]
