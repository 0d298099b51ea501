"""Clients that do random transactions and write down what they saw, for tests/history.

**Model.** Sixteen sessions on a few hot lists, kept in three ways: a text that grows (UPDATE, or
INSERT … ON CONFLICT), a row for each element (predicates), and one row that changes its primary key
with each append. Beside them a bank, rooms to book, and doctors on duty. After some appends a list
is left for a new one, so that reading it stays cheap however long the clients run.

**Invariants.** What is recorded as `failed` certainly did not happen: an error that the server
sent, or a connection that broke before the commit was sent. A connection that breaks after it,
40003 and everything of class 08 and 57 then leave the outcome unknown.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import psycopg

from tests.history.model import Append, Outcome, Read, Txn

APPENDS_PER_LIST = 60
ACCOUNTS = 4
STATEMENT_S_MAX = 60.0


class Lists:
    """Which lists are in use; each name gets a new number when its list is long enough."""

    NAMES = ("item", "upsert", "rows", "moving")

    def __init__(self):
        self.number = dict.fromkeys(self.NAMES, 0)
        self.appends = Counter()
        self.retired = []
        self.next_value = 0

    def pick(self, rng):
        name = rng.choice(self.NAMES)
        return f"{name}{self.number[name]}"

    def value(self, key):
        self.next_value += 1
        self.appends[key] += 1
        return self.next_value

    def long_ones(self):
        return [n for n, at in self.number.items() if self.appends[f"{n}{at}"] >= APPENDS_PER_LIST]

    def all(self):
        return [f"{name}{n}" for name, last in self.number.items() for n in range(last + 1)]


class Session:
    """One client: a connection that is made anew whenever it breaks."""

    def __init__(self, run, number):
        self.run, self.number = run, number
        self.rng = random.Random(f"{run.seed}-{number}")
        self.connection = None
        self.tried = []  # what the running append would leave
        self.running = ""

    async def work(self):
        """Do transactions until the run is over; whatever ends one client ends them all."""
        try:
            await self.transactions()
        finally:
            self.run.is_over = True
            await self.close()

    async def transactions(self):
        while not self.run.is_over:
            if self.connection is None or self.connection.closed:
                await self.connect()
                continue
            kind = self.rng.random()
            if kind < 0.8:
                await self.lists_transaction()
            elif kind < 0.9:
                await self.bank_transaction()
            elif kind < 0.95:
                await self.book()
            else:
                await self.leave_duty()

    async def connect(self):
        try:
            self.connection = await psycopg.AsyncConnection.connect(
                self.run.url, autocommit=True, connect_timeout=20
            )
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)

    async def close(self):
        if self.connection is not None:
            with suppress(psycopg.Error):
                await self.connection.close()

    async def execute(self, sql, *arguments):
        self.running = f"{sql} {arguments}"
        async with asyncio.timeout(STATEMENT_S_MAX):
            cursor = await self.connection.execute(sql, arguments or None)
            return await cursor.fetchall() if cursor.description else []

    async def transaction(self, made, body):
        """Run `body` in a block and note the outcome in `made`; return what it gave, or None."""
        sent_commit = False
        try:
            await self.execute(f"begin isolation level {self.run.level.value}")
            result = await body()
            sent_commit = True
            await self.execute("commit")
        except psycopg.Error as error:
            self.failed(made, error, sent_commit)
            with suppress(psycopg.Error):
                await self.execute("rollback")
            return None
        made.end(Outcome.OK, self.run.now_s())
        self.run.done += 1
        return result

    def failed(self, made, error, sent_commit):
        self.run.errors[error.sqlstate or "broken"] += 1
        state = error.sqlstate or ""
        if sent_commit and (not state or state[:2] in ("08", "57") or state == "40003"):
            made.note = f"{state} {error}".strip()
        elif state[:2] in ("XX", "42", "0A", "22"):
            self.run.unexpected.append(f"{state} {error}")
            self.run.is_over = True
        else:
            made.end(Outcome.FAILED, self.run.now_s(), f"{state} {error}".strip().splitlines()[0])

    # --- lists

    async def lists_transaction(self):
        made = Txn(self.number, self.run.now_s())
        self.run.txns.append(made)
        if self.rng.random() < 0.2:
            await self.single_statement(made)
            return

        async def body():
            is_reader = self.rng.random() < 0.2
            for _ in range(self.rng.randrange(1, 5)):
                if is_reader or self.rng.random() < 0.4:
                    made.ops.append(await self.read(self.run.lists.pick(self.rng)))
                elif self.rng.random() < 0.1:
                    await self.undone_append(made)
                else:
                    made.ops += await self.append(self.run.lists.pick(self.rng))

        await self.transaction(made, body)

    async def single_statement(self, made):
        """Run one statement outside a block; the server may retry it by itself."""
        key = self.run.lists.pick(self.rng)
        self.tried = []
        try:
            if self.rng.random() < 0.5:
                made.ops.append(await self.read(key))
            else:
                made.ops += await self.append(key)
        except psycopg.Error as error:
            made.ops += self.tried
            self.failed(made, error, sent_commit=True)
        else:
            made.end(Outcome.OK, self.run.now_s())

    async def undone_append(self, made):
        await self.execute("savepoint s")
        mark = len(made.ops)
        made.ops += await self.append(self.run.lists.pick(self.rng))
        await self.execute("rollback to s")
        made.undo_to(mark)

    async def read(self, key):
        if key.startswith("rows"):
            sql = self.rng.choice(
                [
                    "select v from elements where k = %s order by pos",
                    "select v from elements where k = %s order by pos desc",
                    "select string_agg(v::text, ',' order by pos) from elements where k = %s",
                ]
            )
            rows = await self.execute(sql, key)
            if "agg" in sql:
                return Read(key, parse(rows[0][0]), is_predicate=True)
            values = tuple(row[0] for row in rows)
            return Read(key, values[::-1] if "desc" in sql else values, is_predicate=True)
        if key.startswith("moving"):
            rows = await self.execute("select v from moving where k = %s", key)
            assert len(rows) < 2, f"one row that moves, and {len(rows)} were seen"
            return Read(key, parse(rows[0][0] if rows else ""), is_predicate=True)
        lock = self.rng.choice(["", "", " for update", " for share"])
        rows = await self.execute(f"select v from texts where k = %s{lock}", key)
        return Read(key, parse(rows[0][0] if rows else ""), is_predicate=not rows)

    async def append(self, key):
        """Append; the operations begin with a read of what was there, if the statement told."""
        value = self.run.lists.value(key)
        self.tried = [Append(key, value)]
        text = f",{value}"
        if key.startswith("rows"):
            if self.run.in_block(self) and self.rng.random() < 0.5:
                seen = await self.read(key)
                sql = "insert into elements values (%s, %s, %s)"
                await self.execute(sql, key, len(seen.values) + 1, value)
                return [seen, Append(key, value)]
            sql = (
                "insert into elements select %s, coalesce(max(pos), 0) + 1, %s from elements "
                "where k = %s"
            )
            await self.execute(sql, key, value, key)
            return [Append(key, value)]
        if key.startswith("moving"):
            places = self.rng.randrange(1, 7)
            sql = (
                "update moving set place = (place + %s) %% 7, v = v || %s where k = %s returning v"
            )
            rows = await self.execute(sql, places, text, key)
            assert len(rows) < 2, f"one row that moves, and {len(rows)} were updated"
        elif key.startswith("upsert"):
            sql = (
                "insert into texts values (%s, %s) on conflict (k) do update "
                "set v = texts.v || excluded.v returning v"
            )
            rows = await self.execute(sql, key, text)
        else:
            sql = "update texts set v = v || %s where k = %s returning v"
            rows = await self.execute(sql, text, key)
        if not rows:
            # The snapshot is from before the list was opened, or (READ COMMITTED) it moved away.
            return []
        values = parse(rows[0][0])
        assert values[-1] == value, f"{value} was appended, and the row ends with {values[-3:]}"
        return [Read(key, values[:-1]), Append(key, value)]

    # --- checks with a name

    async def bank_transaction(self):
        made = Txn(self.number, self.run.now_s())
        one, two = self.rng.sample(range(1, ACCOUNTS + 1), 2)
        amount = self.rng.randrange(1, 20)

        async def transfer():
            sql = "update accounts set balance = balance + %s where id = %s"
            await self.execute(sql, -amount, one)
            await self.execute(sql, amount, two)

        async def look():
            return dict(await self.execute("select id, balance from accounts"))

        if self.rng.random() < 0.6:
            await self.transaction(made, transfer)
        elif (seen := await self.transaction(made, look)) is not None:
            self.run.balances.append(seen)

    async def book(self):
        """Book a slot that a search found free."""
        made = Txn(self.number, self.run.now_s())
        self.run.booking += 1
        number, slot = self.run.booking, self.run.booking // 6

        async def body():
            sql = "select count(*) from bookings where slot = %s"
            if (await self.execute(sql, slot))[0][0]:
                return False
            await self.execute("insert into bookings values (%s, %s)", number, slot)
            return True

        if await self.transaction(made, body):
            self.run.claims.append(slot)

    async def leave_duty(self):
        """Go off duty, if somebody else stays; every other transaction opens a new shift."""
        made = Txn(self.number, self.run.now_s())
        shift = self.run.shift

        async def body():
            sql = "select doctor from duty where shift = %s and is_on = 1 order by doctor"
            on = [row[0] for row in await self.execute(sql, shift)]
            if len(on) < 2:
                return False
            sql = "update duty set is_on = 0 where shift = %s and doctor = %s"
            await self.execute(sql, shift, self.rng.choice(on))
            return True

        if await self.transaction(made, body) is False:
            opened = self.run.shift + 1

            async def open_shift():
                sql = "insert into duty values (%s, 1, 1), (%s, 2, 1)"
                await self.execute(sql, opened, opened)

            again = Txn(self.number, self.run.now_s())
            await self.transaction(again, open_shift)
            if again.outcome is Outcome.OK:
                self.run.shift = opened


def parse(text):
    return tuple(int(part) for part in (text or "").split(",") if part)
