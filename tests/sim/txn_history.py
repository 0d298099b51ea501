"""Random transactions run side by side, and the check that some serial order explains them.

The order is known: writers by commit timestamp, readers right after the commit they read at.
Replaying
the transactions in it over a plain dict must give every one of them exactly what it read.
"""

import asyncio
import random
from contextlib import aclosing

from kvapi.errors import KeyExists, KvError, WriteConflict
from kvapi.spans import Span
from sqlnode.txn import Transaction

KEYS = [b"\x02%d" % n for n in range(6)]


class History:
    """What every committed transaction did: (order, is_reader, operations with their results)."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.committed = []
        self.failed_count = 0

    async def run(self, client, *, worker_count, txn_count):
        async def work():
            for _ in range(txn_count):
                await self._transaction(client)

        await asyncio.gather(*[work() for _ in range(worker_count)])

    async def _transaction(self, client):
        txn = Transaction(client, txn_id=self.rng.randbytes(16), catalog_version=0)
        log = []
        try:
            for _ in range(self.rng.randrange(1, 6)):
                await self._operation(txn, log)
                if self.rng.random() < 0.3:
                    await asyncio.sleep(self.rng.random() * 0.002)
            has_writes = txn.has_writes
            order = await txn.commit()
        except (WriteConflict, KeyExists):
            self.failed_count += 1
            await txn.rollback()
        except KvError as error:
            if type(error).__name__ not in ("LockTimeout", "Deadlock"):
                raise
            self.failed_count += 1
            await txn.rollback()
        else:
            self.committed.append((order, not has_writes, log))

    async def _operation(self, txn, log):
        rng = self.rng
        key, value = rng.choice(KEYS), rng.randbytes(4)
        kind = rng.choice(["get", "multi_get", "scan", "update", "update", "insert", "delete"])
        if kind == "get":
            log.append(("get", key, await txn.get(key)))
        elif kind == "multi_get":
            keys = rng.sample(KEYS, 3)
            log += [("get", k, v) for k, v in zip(keys, await txn.multi_get(keys), strict=True)]
        elif kind == "scan":
            span = Span(*sorted(rng.sample(KEYS, 2)))
            limit, reverse = rng.choice([0, 1]), rng.random() < 0.5
            rows = []
            blocks = txn.scan_blocks(span, reverse=reverse, limit_rows=limit)
            async with aclosing(blocks):
                async for block in blocks:
                    rows += block.rows()
            log.append(("scan", (span, reverse, limit), rows))
        elif kind == "insert":
            recent = txn._own.recent
            if key not in recent or recent[key] is None:
                txn.require_absent(key)
                log.append(("get", key, None))
                txn.put(key, value)
                log.append(("put", key, value))
        else:
            (found,) = (await txn.lock_rows([key], timeout_ms=50)).values
            log.append(("get", key, found))
            if found is not None:
                new = value if kind == "update" else None
                txn.put(key, new) if new is not None else txn.delete(key)
                log.append(("put", key, new))

    def check(self):
        """Replay in serial order; every read must give what it gave."""
        state = {}
        for _, _, log in sorted(self.committed, key=lambda entry: entry[:2]):
            for operation, subject, result in log:
                if operation == "put":
                    state.pop(subject, None)
                    if result is not None:
                        state[subject] = result
                elif operation == "get":
                    assert state.get(subject) == result, (operation, subject)
                else:
                    span, reverse, limit = subject
                    rows = sorted((k, v) for k, v in state.items() if span.contains(k))
                    if reverse:
                        rows.reverse()
                    assert rows[: limit or None] == result, (operation, subject)
