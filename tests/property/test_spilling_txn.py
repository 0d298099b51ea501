"""A transaction whose writes move to the node at every chance reads and commits as one dict would.

Random operations with savepoints, failed statements, scans, cursors and statement views, each
against a plain model; `stage_bytes` is so small that every `make_room` spills.
"""

import random

import pytest

from kvapi.spans import Span
from sqlnode.txn import Transaction

KEYS = [b"\x02%07d" % n for n in range(12)]
ALL = Span(b"", b"")
STEP_COUNT = 60


class Run:
    """One random transaction beside its model."""

    def __init__(self, client, store, seed):
        self.rng = random.Random(seed)
        self.store = store
        self.txn = Transaction(
            client, txn_id=self.rng.randbytes(16), catalog_version=0, stage_bytes=1
        )
        self.state = {}  # what the transaction sees
        self.savepoints = []  # (name, state then)
        self.readers = []  # (async iterator, rows still expected)
        self.views = []  # (view, state then) of the running statement
        self.cursors = []  # (what keeps it, view, state then, how many savepoints are older)

    async def start(self):
        for key in KEYS:
            if self.rng.random() < 0.5:
                self.state[key] = self.rng.randbytes(3)
                self.store.put(key, self.state[key])
        self.txn.begin_statement()

    async def step(self):
        kinds = {
            "change": 8, "statement": 5, "get": 2, "scan": 2, "read_view": 2,
            "begin_scan": 1, "go_on": 2, "set": 2, "rollback_to": 1, "release": 1, "refresh": 1,
            "declare": 1, "fetch": 1, "close": 1,
        }  # fmt: skip
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        await getattr(self, kind)()

    async def change(self):
        key, value = self.rng.choice(KEYS), self.rng.randbytes(3)
        txn, state = self.txn, self.state
        if key not in state:
            (found,) = await txn.multi_get([key], is_claim=True)
            assert found is None
            txn.require_absent(key)
            txn.put(key, value)
            state[key] = value
            return
        (found,) = (await txn.lock_rows([key])).values
        assert found == state[key]
        if self.rng.random() < 0.5:
            txn.delete(key)
            del state[key]
        else:
            txn.put(key, value)
            state[key] = value

    async def statement(self):
        """A statement of several changes that may fail, staging in between."""
        mark, before = self.txn.begin_statement(), dict(self.state)
        self.views = [(self.txn.as_statement_began(), before)]
        for _ in range(self.rng.randrange(5)):
            for _ in range(self.rng.randrange(4)):
                await self.change()
            await self.read_view()
            await self.txn.make_room()
        if self.rng.random() < 0.3:
            self.txn.undo_to(mark)
            self.state = dict(before)
        else:
            await self.txn.settle()

    async def get(self):
        keys = self.rng.sample(KEYS, 3)
        assert await self.txn.multi_get(keys) == [self.state.get(key) for key in keys]
        assert await self.txn.get(keys[0]) == self.state.get(keys[0])

    async def scan(self):
        limit, reverse = self.rng.choice([0, 0, 1, 4]), self.rng.random() < 0.5
        blocks = self.txn.scan_blocks(ALL, reverse=reverse, limit_rows=limit)
        rows = [row async for block in blocks for row in block.rows()]
        expected = sorted(self.state.items(), reverse=reverse)
        assert rows == (expected[:limit] if limit else expected)

    async def read_view(self):
        for view, state in self.views:
            rows = [row async for block in view.scan_blocks(ALL) for row in block.rows()]
            assert rows == sorted(state.items())
            assert await view.multi_get(KEYS) == [state.get(key) for key in KEYS]

    async def begin_scan(self):
        scan = self.txn.scan_blocks(ALL)
        expected = sorted(self.state.items())
        self.readers.append((scan, expected))
        await self.go_on()  # only now it has begun

    async def go_on(self):
        if self.readers:
            scan, expected = self.readers[-1]
            block = await anext(scan, None)
            rows = block.rows() if block is not None else []
            assert rows == expected[: len(rows)]
            del expected[: len(rows)]
            if block is None:
                assert not expected
                self.readers.pop()

    async def declare(self):
        kept = self.txn.as_now()
        self.cursors.append((kept, kept.__enter__(), dict(self.state), len(self.savepoints)))

    async def fetch(self):
        for _, view, state, _ in self.cursors:
            rows = [row async for block in view.scan_blocks(ALL) for row in block.rows()]
            assert rows == sorted(state.items())
            assert await view.multi_get(KEYS) == [state.get(key) for key in KEYS]

    async def close(self):
        if self.cursors:
            self.cursors.pop(self.rng.randrange(len(self.cursors)))[0].__exit__(None, None, None)

    def close_since(self, savepoint_count):
        """Close the cursors that a savepoint does not bring back."""
        for cursor in self.cursors:
            if cursor[3] > savepoint_count:
                cursor[0].__exit__(None, None, None)
        self.cursors = [cursor for cursor in self.cursors if cursor[3] <= savepoint_count]

    async def set(self):
        name = self.rng.choice("abc")
        self.txn.savepoints.set(name)
        self.savepoints.append((name, dict(self.state)))

    def find(self):
        name = self.rng.choice([name for name, _ in self.savepoints])
        index = max(n for n, entry in enumerate(self.savepoints) if entry[0] == name)
        return name, index

    async def rollback_to(self):
        if self.savepoints:
            name, index = self.find()
            for scan, _ in self.readers:  # a session closes portals made since; all here
                await scan.aclose()
            self.readers, self.views = [], []
            self.txn.savepoints.rollback_to(name)
            self.close_since(index)
            self.state = dict(self.savepoints[index][1])
            del self.savepoints[index + 1 :]

    async def release(self):
        if self.savepoints:
            name, index = self.find()
            self.txn.savepoints.release(name)
            del self.savepoints[index:]
            self.cursors = [(*cursor, min(count, index)) for *cursor, count in self.cursors]

    async def refresh(self):
        self.txn.begin_statement()
        self.views = []
        span = Span(KEYS[2], KEYS[7])
        written = self.txn.has_writes_in(span)
        stored = {k: v for k, v in self.store.rows(span, self.store.newest_ts)}
        if not written:
            assert {k: v for k, v in self.state.items() if span.contains(k)} == stored


@pytest.mark.parametrize("block_rows", [1000, 2])
@pytest.mark.parametrize("seed", range(40))
async def test_staged_or_not_a_transaction_reads_its_own_writes(
    client, server, monkeypatch, seed, block_rows
):
    """A bulk statement between savepoints would lose rows, or show undone ones."""
    monkeypatch.setattr("tests.fakes.kv_store.BLOCK_ROWS_MAX", block_rows)
    run = Run(client, server.store, seed)
    await run.start()
    for _ in range(STEP_COUNT):
        await run.step()
    for scan, _ in run.readers:
        await scan.aclose()
    await run.fetch()
    await run.scan()
    if run.rng.random() < 0.8:
        await run.txn.commit()
        assert dict(server.store.rows(ALL, server.store.newest_ts)) == run.state
    else:
        await run.txn.rollback()
        await client.get(b"")  # comes after the rollback
    assert not server.store.locks
