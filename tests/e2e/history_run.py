"""A run of the clients of history_clients.py: starts them, kills processes, judges the history."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import psycopg

from tests.e2e.history_clients import Lists, Session, parse
from tests.history import invariants
from tests.history.list_append import check
from tests.history.model import Level, Outcome, Read, Txn

CLIENTS = 16
TOTAL = 400
PROGRESS_S_MAX = 60.0
DONE_MIN = 300  # however slow the machine is
SCHEMA = """
create table texts (k text primary key, v text not null);
create table elements (k text, pos int, v int not null, primary key (k, pos));
create index on elements (v);
create table moving (k text, place int, v text not null, primary key (k, place));
create table accounts (id int primary key, balance int not null);
create table bookings (id int primary key, slot int not null);
create index on bookings (slot);
create table duty (shift int, doctor int, is_on int not null, primary key (shift, doctor));
insert into accounts select g, 100 from generate_series(1, 4) g;
"""


class HistoryRun:
    """Sixteen sessions for some seconds; afterwards the history and what is wrong with it."""

    def __init__(self, stack, tenant, level, *, seed, kills=(), clients=CLIENTS):
        self.stack, self.url, self.level, self.seed = stack, stack.url(tenant), level, seed
        self.tenant, self.kills, self.client_count = tenant, kills, clients
        self.rng = random.Random(seed)
        self.lists = Lists()
        self.txns, self.balances, self.claims = [], [], []
        self.booking, self.shift, self.done = 0, 0, 0
        self.errors, self.killed = Counter(), Counter()
        self.unexpected = []
        self.is_over = False

    def now_s(self):
        return self.loop.time()

    @staticmethod
    def in_block(session):
        status = session.connection.info.transaction_status
        return status == psycopg.pq.TransactionStatus.INTRANS

    async def run(self, seconds):
        self.loop = asyncio.get_running_loop()
        await self.open()
        self.sessions = sessions = [Session(self, n) for n in range(self.client_count)]
        tasks = [asyncio.ensure_future(session.work()) for session in sessions]
        tasks.append(asyncio.ensure_future(self.rotate()))
        if self.kills:
            tasks.append(asyncio.ensure_future(self.kill()))
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        if not any(task.done() for task in tasks):
            await self.wait_commits(0 if self.done > DONE_MIN else DONE_MIN)
        self.is_over = True
        await asyncio.gather(*tasks)
        assert not self.unexpected, self.unexpected
        await self.read_everything()

    async def wait_commits(self, count):
        """Return when `count` more transactions were committed."""
        wanted = self.done + count
        try:
            async with asyncio.timeout(PROGRESS_S_MAX):
                while self.done < wanted and not self.is_over:  # noqa: ASYNC110  other processes
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self.is_over = True
            hanging = "\n".join(f"{s.number}: {s.running}" for s in self.sessions)
            raise AssertionError(f"nothing is committed any more; running:\n{hanging}") from None

    async def patient(self, statements):
        """Run statements in one transaction, again until it succeeds."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self.url, connect_timeout=20
                ) as connection:
                    results = []
                    for sql, *arguments in statements:
                        cursor = await connection.execute(sql, arguments or None)
                        results.append(await cursor.fetchall() if cursor.description else [])
                    return results
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)

    async def open(self):
        await self.patient([(sql,) for sql in SCHEMA.split(";") if sql.strip()])
        await self.patient([*map(opening, ("item0", "moving0"))])
        await self.patient([("insert into duty values (0, 1, 1), (0, 2, 1)",)])

    async def rotate(self):
        """Leave long lists for new ones."""
        while not self.is_over:
            for name in self.lists.long_ones():
                number = self.lists.number[name] + 1
                if name in ("item", "moving"):
                    await self.patient([opening(f"{name}{number}")])
                self.lists.number[name] = number
            await asyncio.sleep(0.05)

    async def kill(self):
        """kill -9 a SQL process or the KV node, again and again."""
        while not self.is_over:
            await self.wait_commits(self.rng.randrange(10, 150))
            await asyncio.sleep(self.rng.uniform(0, 0.5))
            kind = self.rng.choice(self.kills)
            if kind == "sql":
                pids = await asyncio.to_thread(self.stack.sql_pids, self.tenant)
                if not pids:
                    continue
                pid = self.rng.choice(pids)
            else:
                pid = self.stack.pid("kvnode")
            with suppress(ProcessLookupError):
                await asyncio.to_thread(self.stack.kill, pid)
                self.killed[kind] += 1

    async def read_everything(self):
        made = Txn("last", self.now_s())
        keys = self.lists.all()
        results = await self.patient(
            [
                ("set transaction isolation level serializable",),
                ("select k, v from texts",),
                ("select k, v from moving",),
                ("select k, v from elements order by k, pos",),
                ("select id, balance from accounts",),
                ("select slot from bookings",),
                ("select shift, doctor, is_on from duty",),
            ]
        )
        _, texts, moving, elements, accounts, bookings, duty = results
        lists = {k: parse(v) for k, v in [*texts, *moving]}
        for k, v in elements:
            lists[k] = (*lists.get(k, ()), v)
        made.ops = [Read(key, lists.get(key, ())) for key in keys]
        made.end(Outcome.OK, self.now_s())
        self.txns.append(made)
        self.balances.append(dict(accounts))
        self.slots = [slot for (slot,) in bookings]
        shifts = {}
        for shift, doctor, is_on in duty:
            shifts.setdefault(shift, {})[doctor] = is_on
        self.shifts = list(shifts.values())

    def anomalies(self):
        """Return everything that the level forbids."""
        found = check(self.txns, self.level) + invariants.bank(self.balances, TOTAL)
        if self.level is Level.SERIALIZABLE:
            found += invariants.phantom(self.slots) + invariants.write_skew(self.shifts, 1)
        missing = Counter(self.claims) - Counter(self.slots)
        assert not missing, f"acknowledged bookings are gone: {missing}"
        return found

    def summary(self):
        outcomes = Counter(txn.outcome.value for txn in self.txns)
        return (
            f"{self.level.value}: {outcomes['ok']} committed, {outcomes['failed']} failed, "
            f"{outcomes['unknown']} unknown; errors {dict(self.errors)}; "
            f"killed {dict(self.killed)}; {len(self.claims)} bookings, {self.shift} shifts, "
            f"{len(self.balances)} sums"
        )


def opening(key):
    if key.startswith("item"):
        return "insert into texts values (%s, '') on conflict do nothing", key
    return "insert into moving values (%s, 0, '') on conflict do nothing", key
