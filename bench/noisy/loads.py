"""A noisy tenant's client, at the lowest OS priority, until SIGTERM.

    python -m bench.noisy.loads KIND --url URL --clients N --rows N
    python -m bench.noisy.loads raw --unix PATH --credential BASE64 --clients N

The lowest priority, so that what is measured is the server and not who wins the client's CPU.
Says `ready` on a line, and in the end JSON: `done` (per tenth of a second of CLOCK_MONOTONIC) and
`errors` by SQLSTATE: connections over the limit are refused, which is no failure of this load.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic_ns
from typing import Any, Final

import asyncpg
import uvloop

from bench.kv_client import bench_key
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from runtime.clock import SystemClock

BUCKET_NS: Final = 100_000_000
_COPY_ROWS: Final = 20_000
_COPY_CHUNK_ROWS: Final = 1_000
_RAW_ROWS: Final = 1_000
_NICE_MOST: Final = 19


class Load:
    """What was asked, and how often it was done."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.url: str = arguments.url
        self.clients: int = arguments.clients
        self.rows: int = arguments.rows
        self.unix: str = arguments.unix
        self.credential = base64.b64decode(arguments.credential)
        self.done: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()

    def count(self) -> None:
        """Take note of something done now."""
        self.done[monotonic_ns() // BUCKET_NS] += 1

    @contextlib.asynccontextmanager
    async def connections(self) -> AsyncIterator[list[Any]]:
        """Open one connection for each client."""
        with contextlib.ExitStack() as stack:
            opened = []
            for _ in range(self.clients):
                connection = await asyncpg.connect(self.url, timeout=60)
                stack.callback(connection.terminate)
                opened.append(connection)
            yield opened


Kind = Callable[[Load], Awaitable[None]]


async def prepare(url: str, rows: int) -> None:
    """Create the tables of every kind."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table big (id int primary key, v int, t text)")
        await connection.execute(
            f"insert into big select g, g % 1000, 'row ' || g from generate_series(1, {rows}) g",
            timeout=300,
        )
        await connection.execute("create table hot (id int primary key, n int)")
        await connection.execute("insert into hot values (1, 0)")
    finally:
        await connection.close()


async def _reads(load: Load) -> None:
    """Point reads as fast as they go."""

    async def work(connection: Any, first: int) -> None:
        statement = await connection.prepare("select v from big where id = $1")
        turn = first
        while True:
            await statement.fetchval(turn * 7919 % load.rows + 1)
            load.count()
            turn += 1

    await _all(load, work)


async def _scans(load: Load) -> None:
    """Scan and aggregate the whole table."""
    queries = (
        "select count(*), sum(v), avg(v), max(t) from big",
        "select v % 100 as part, count(*), max(id) from big group by 1 order by 2 desc limit 10",
        "select count(*) from big where t like '%99%'",
    )

    async def work(connection: Any, first: int) -> None:
        turn = first
        while True:
            await connection.fetch(queries[turn % len(queries)], timeout=120)
            load.count()
            turn += 1

    await _all(load, work)


async def _copy(load: Load) -> None:
    """COPY of many rows, each into a new table."""

    async def rows(first: int) -> AsyncIterator[bytes]:
        for start in range(first, first + _COPY_ROWS, _COPY_CHUNK_ROWS):
            yield b"".join(
                b"%d\t%d\trow %d\n" % (n, n, n) for n in range(start, start + _COPY_CHUNK_ROWS)
            )

    async def work(connection: Any, first: int) -> None:
        name = f"copied_{first}"
        await connection.execute(f"create table {name} (id int primary key, v int, t text)")
        turn = 0
        while True:
            lines = rows(turn * _COPY_ROWS)
            await connection.copy_to_table(name, source=lines, format="text", timeout=120)
            load.count()
            turn += 1

    await _all(load, work)


async def _hot(load: Load) -> None:
    """Every client increments the same row."""

    async def work(connection: Any, first: int) -> None:
        while True:
            await connection.execute("update hot set n = n + 1 where id = 1", timeout=60)
            load.count()

    await _all(load, work)


async def _large(load: Load) -> None:
    """Large transactions, one after the other."""

    async def work(connection: Any, first: int) -> None:
        await connection.execute("create table large (id int primary key, v int, t text)")
        first_id = 1
        while True:
            last = first_id + load.rows - 1
            series = f"generate_series({first_id}, {last}) g"
            insert = f"insert into large select g, g, 'row ' || g from {series}"
            await connection.execute(insert, timeout=600)
            load.count()
            first_id = last + 1

    await _all(load, work)


async def _connects(load: Load) -> None:
    """Connect and go, as fast as the server lets in."""

    async def work(client: int) -> None:
        while True:
            try:
                connection = await asyncpg.connect(load.url, timeout=30)
                await connection.close(timeout=10)
            except asyncpg.PostgresError as error:
                load.errors[error.sqlstate or "unknown"] += 1
            except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
                load.errors[type(error).__name__] += 1
            load.count()

    print("ready", flush=True)
    await asyncio.gather(*map(work, range(load.clients)))


async def _raw(load: Load) -> None:
    """Point reads straight at the KV node."""
    config = ClientConfig(client_name="bench")
    client = KvClient(f"unix:{load.unix}", config=config, clock=SystemClock())
    await client.authenticate(load.credential)
    keys = [bench_key(n) for n in range(_RAW_ROWS)]
    writes: dict[bytes, bytes | None] = dict.fromkeys(keys, bytes(100))
    await client.commit(txn_id=os.urandom(16), read_ts=0, catalog_version=0, writes=writes)

    async def work(turn: int) -> None:
        while True:
            await client.get(keys[turn * 7919 % _RAW_ROWS])
            load.count()
            turn += 1

    print("ready", flush=True)
    await asyncio.gather(*map(work, range(load.clients)))


KINDS: Final[dict[str, Kind]] = {
    "reads": _reads,
    "scans": _scans,
    "copy": _copy,
    "hot": _hot,
    "large": _large,
    "connects": _connects,
    "raw": _raw,
}


async def _all(load: Load, work: Callable[[Any, int], Awaitable[None]]) -> None:
    """Run `work(connection, number)` on a connection each, until cancelled."""
    async with load.connections() as connections:
        print("ready", flush=True)
        await asyncio.gather(*(work(one, turn) for turn, one in enumerate(connections)))


async def run(kind: str, load: Load) -> None:
    """Work until SIGTERM. Raises: what the load raised of itself."""
    task = asyncio.ensure_future(KINDS[kind](load))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> None:
    """Work, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--url", default="")
    parser.add_argument("--unix", default="")
    parser.add_argument("--credential", default="")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rows", type=int, default=0)
    arguments = parser.parse_args()
    os.nice(_NICE_MOST)
    load = Load(arguments)
    uvloop.run(run(arguments.kind, load))
    print(json.dumps({"done": sorted(load.done.items()), "errors": load.errors}))


if __name__ == "__main__":
    main()
