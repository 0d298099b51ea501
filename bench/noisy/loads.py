"""A noisy tenant's client, at the lowest OS priority, until SIGTERM.

    python -m bench.noisy.loads KIND --url URL --clients N --rows N
    python -m bench.noisy.loads raw|counts --unix PATH --credential BASE64 --clients N

**Model.** Each client asks one request after the other. The lowest priority, so that what is
measured is the server and not who wins the client's CPU. At SIGTERM every client gets the answer to
its last request before it goes, so that what was acknowledged is known to the row; one that gets
none is `stuck`. A request that fails is counted by its message and the client goes on: connections
over the limit are refused, which is no failure of the flood.

Says `ready` on a line, and in the end JSON: `done` (per tenth of a second of CLOCK_MONOTONIC),
`errors`, `acknowledged`, `unknown` (requests that failed and may have happened all the same),
`stuck`, `idle_s` (how long the client that waited longest had waited at SIGTERM), `took_s` (until
the last answer), and `failed`, the reason why it could not go on at all.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic_ns
from typing import Any, Final

import asyncpg
import uvloop

from bench.kv_client import bench_key
from bench.noisy.failures import describe, is_refusal, may_have_happened
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError
from kvapi.spans import Span
from runtime.clock import SystemClock

BUCKET_NS: Final = 100_000_000
COPY_ROWS: Final = 20_000
COPY_CLIENTS_MAX: Final = 4
DRAIN_S_MAX: Final = 60.0
_COPY_CHUNK_ROWS: Final = 1_000
_RAW_ROWS: Final = 1_000
_COUNTED_ROWS: Final = 500
_SUMMED_ROWS: Final = 300
_NICE_MOST: Final = 19
_TEXTS_MAX: Final = 20  # different messages of one load
_AFTER_ERROR_S: Final = 0.01
_ERRORS_IN_A_ROW_MAX: Final = 100  # of one client; then the load has failed
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    KvError,
    OSError,
    TimeoutError,
)

Ask = Callable[[int], Awaitable[object]]  # the running number of the request


class Load:
    """What was asked, and how often it was done."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.url: str = arguments.url
        self.clients: int = arguments.clients
        self.rows: int = arguments.rows
        self.unix: str = arguments.unix
        self.credential = base64.b64decode(arguments.credential)
        self.is_stopping = False
        self.done: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.acknowledged = self.unknown = self.stuck = 0
        self.idle_s = 0.0
        self._begun_ns = 0
        self._heard_ns = [0] * self.clients

    def succeeded(self, client: int) -> None:
        """Take note of something done now."""
        self.acknowledged += 1
        self._heard(client, is_done=True)

    def failed(self, client: int, error: BaseException) -> None:
        """Take note of a request that failed. Connections refused count as done."""
        text = describe(error)
        if text not in self.errors and len(self.errors) >= _TEXTS_MAX:
            text = "others"
        self.errors[text] += 1
        self.unknown += may_have_happened(error)
        self._heard(client, is_done=is_refusal(error))

    def _heard(self, client: int, *, is_done: bool) -> None:
        now_ns = monotonic_ns()
        self.done[now_ns // BUCKET_NS] += is_done
        self._heard_ns[client] = now_ns

    def begin(self) -> None:
        """Take note that all clients begin now."""
        self._begun_ns = monotonic_ns()
        self._heard_ns = [self._begun_ns] * self.clients

    def stop(self) -> None:
        """Let the clients end, and take note of how long they have waited."""
        self.is_stopping = True
        self.idle_s = (monotonic_ns() - min(self._heard_ns)) / 1e9

    def as_dict(self) -> dict[str, Any]:
        """Return what came of it."""
        return {
            "done": sorted(self.done.items()),
            "errors": self.errors,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "stuck": self.stuck,
            "idle_s": self.idle_s,
            "took_s": (max(self._heard_ns, default=0) - self._begun_ns) / 1e9,
        }


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
        for name in ("large", *map(copy_table, range(COPY_CLIENTS_MAX))):
            await connection.execute(f"create table {name} (id int primary key, v int, t text)")
    finally:
        await connection.close()


def copy_table(client: int) -> str:
    """Return the table that a client of `copy` fills."""
    return f"copied_{client}"


async def _reads(load: Load, connection: Any, client: int) -> Ask:
    """Point reads as fast as they go."""
    statement = await connection.prepare("select v from big where id = $1")
    return lambda turn: statement.fetch((client + turn) * 7919 % load.rows + 1)


async def _sums(load: Load, connection: Any, client: int) -> Ask:
    """Sum a few hundred rows: it costs the server more than its clients."""
    query = f"select sum(v) from big where id between $1 and $1 + {_SUMMED_ROWS - 1}"
    statement = await connection.prepare(query)
    firsts = max(load.rows - _SUMMED_ROWS, 1)
    return lambda turn: statement.fetch((client + turn) * 7919 % firsts + 1)


async def _scans(load: Load, connection: Any, client: int) -> Ask:
    """Scan and aggregate the whole table."""
    queries = (
        "select count(*), sum(v), avg(v), max(t) from big",
        "select v % 100 as part, count(*), max(id) from big group by 1 order by 2 desc limit 10",
        "select count(*) from big where t like '%99%'",
    )
    return lambda turn: connection.fetch(queries[(client + turn) % len(queries)], timeout=120)


async def _copy(load: Load, connection: Any, client: int) -> Ask:
    """COPY of many rows, each client into its own table."""

    async def lines(first: int) -> AsyncIterator[bytes]:
        for start in range(first, first + COPY_ROWS, _COPY_CHUNK_ROWS):
            yield b"".join(
                b"%d\t%d\trow %d\n" % (n, n, n) for n in range(start, start + _COPY_CHUNK_ROWS)
            )

    async def ask(turn: int) -> None:
        source = lines(turn * COPY_ROWS)
        await connection.copy_to_table(
            copy_table(client), source=source, format="text", timeout=120
        )

    return ask


async def _hot(load: Load, connection: Any, client: int) -> Ask:
    """Every client increments the same row."""
    return lambda turn: connection.execute("update hot set n = n + 1 where id = 1", timeout=60)


async def _large(load: Load, connection: Any, client: int) -> Ask:
    """Large transactions, one after the other."""

    async def ask(turn: int) -> None:
        first = turn * load.rows + 1
        series = f"generate_series({first}, {first + load.rows - 1}) g"
        insert = f"insert into large select g, g, 'row ' || g from {series}"
        await connection.execute(insert, timeout=600)

    return ask


def _connects(load: Load) -> Ask:
    """Connect and go, as fast as the server lets in."""

    async def ask(turn: int) -> None:
        connection = await asyncpg.connect(load.url, timeout=30)
        await connection.close(timeout=10)

    return ask


async def _raw(load: Load, client: KvClient) -> Ask:
    """Point reads straight at the KV node."""
    keys = await _fill(load, client)
    return lambda turn: client.get(keys[turn * 7919 % _RAW_ROWS])


async def _counts(load: Load, client: KvClient) -> Ask:
    """Count rows straight at the KV node: it costs the node more than its clients."""
    keys = await _fill(load, client)
    span = Span(keys[0], keys[_COUNTED_ROWS])
    return lambda turn: client.scan(span, count_only=True)


async def _fill(load: Load, client: KvClient) -> list[bytes]:
    await client.authenticate(load.credential)
    keys = [bench_key(n) for n in range(_RAW_ROWS)]
    writes: dict[bytes, bytes | None] = dict.fromkeys(keys, bytes(100))
    await client.commit(txn_id=os.urandom(16), read_ts=0, catalog_version=0, writes=writes)
    return keys


CONNECTS: Final = "connects"
RAW: Final = "raw"
COUNTS: Final = "counts"
AT_THE_NODE: Final[dict[str, Callable[[Load, KvClient], Awaitable[Ask]]]] = {
    RAW: _raw,
    COUNTS: _counts,
}
_BY_CONNECTION: Final[dict[str, Callable[[Load, Any, int], Awaitable[Ask]]]] = {
    "reads": _reads,
    "sums": _sums,
    "scans": _scans,
    "copy": _copy,
    "hot": _hot,
    "large": _large,
}
KINDS: Final = (*_BY_CONNECTION, CONNECTS, *AT_THE_NODE)


@contextlib.asynccontextmanager
async def asking(kind: str, load: Load) -> AsyncIterator[list[Ask]]:
    """Yield what each client asks."""
    if kind == CONNECTS:
        yield [_connects(load)] * load.clients
    elif kind in AT_THE_NODE:
        config = ClientConfig(client_name="bench")
        client = KvClient(f"unix:{load.unix}", config=config, clock=SystemClock())
        yield [await AT_THE_NODE[kind](load, client)] * load.clients
    else:
        with contextlib.ExitStack() as stack:
            asks = []
            for number in range(load.clients):
                connection = await asyncpg.connect(load.url, timeout=60)
                stack.callback(connection.terminate)
                asks.append(await _BY_CONNECTION[kind](load, connection, number))
            yield asks


async def work(load: Load, client: int, ask: Ask) -> None:
    """Ask until the load is stopping. Raises: the last error of too many in a row."""
    turn = errors_in_a_row = 0
    while not load.is_stopping:
        try:
            await ask(turn)
        except _FAILURES as error:
            load.failed(client, error)
            errors_in_a_row = 0 if is_refusal(error) else errors_in_a_row + 1
            if errors_in_a_row > _ERRORS_IN_A_ROW_MAX:
                raise
            await asyncio.sleep(0 if is_refusal(error) else _AFTER_ERROR_S)
        else:
            load.succeeded(client)
            errors_in_a_row = 0
        turn += 1


async def run(kind: str, load: Load, *, drain_s_max: float = DRAIN_S_MAX) -> None:
    """Work until SIGTERM, then let the requests end. Raises: what the load raised of itself."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asking(kind, load) as asks:
        load.begin()
        tasks = [asyncio.ensure_future(work(load, n, ask)) for n, ask in enumerate(asks)]
        stopping = asyncio.ensure_future(stop.wait())
        print("ready", flush=True)
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        load.stop()
        _, stuck = await asyncio.wait(tasks, timeout=drain_s_max)
        load.stuck = len(stuck)
        load.unknown += len(stuck)
        for task in (stopping, *stuck):
            task.cancel()
        for error in [task.exception() for task in tasks if task not in stuck]:
            if error is not None:
                raise error


def main() -> int:
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
    failed = ""
    try:
        uvloop.run(run(arguments.kind, load))
    except Exception as error:
        failed = describe(error)
    print(json.dumps({**load.as_dict(), "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
