"""The quiet tenant's client: point reads and single-row commits at fixed rates, until SIGTERM.

    python -m bench.noisy.quiet --url URL [--url URL]... --rate R

**Model.** Two connections for each URL, one for either kind; requests are due at fixed times and a
latency runs from when its request was due (open loop), so that a stall counts for all that came
into it. When it is told to stop it waits for the answers to what was due.

Says `ready` on a line, and in the end JSON: `taken`: kind → [[due_ns, took_ns], …], in times of
CLOCK_MONOTONIC, which other processes share; `acknowledged` commits, `unknown` ones, which failed
and may have happened all the same; `unanswered` requests; `errors`: [[due_ns, message], …].
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

import asyncpg
import uvloop

from bench.noisy.failures import describe, may_have_happened
from bench.ticker import Ticker
from runtime import os_priority

WRITING: Final = "commit"
KINDS: Final = ("read", WRITING)
ROW_COUNT: Final = 1000
_TICK_S: Final = 0.0005
_WARM_S: Final = 0.5  # for the first request of each connection
_ERRORS_MAX: Final = 100  # of one connection
_DRAIN_S_MAX: Final = 60.0
STATEMENTS: Final = {
    "read": "select v from quiet where id = $1",
    "commit": "update quiet set v = v + 1 where id = $1 returning v",
}

Taken = list[tuple[int, int]]  # due, took; nanoseconds


async def prepare(url: str) -> None:
    """Create the table."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table quiet (id int primary key, v int)")
        fill = f"insert into quiet select g, 0 from generate_series(1, {ROW_COUNT}) g"
        await connection.execute(fill)
    finally:
        await connection.close()


class _Client:
    """One connection that does one kind of request, one at a time, in the order of their times."""

    def __init__(self, kind: str, statement: Any, taken: Taken) -> None:
        self.kind = kind
        self._statement = statement
        self._taken = taken
        self._seed = random.Random(kind)
        self.due: asyncio.Queue[int | None] = asyncio.Queue()
        self.asked = self.acknowledged = self.unknown = 0
        self.errors: list[tuple[int, str]] = []

    def issue(self, due_ns: int) -> None:
        """Let a request be due."""
        self.asked += 1
        self.due.put_nowait(due_ns)

    async def run(self) -> None:
        """Ask until None is due."""
        while (due_ns := await self.due.get()) is not None:
            await self.ask(due_ns)

    async def ask(self, due_ns: int) -> None:
        """Ask once. Raises: what made the connection useless, or one error too many."""
        try:
            await self._statement.fetch(self._seed.randint(1, ROW_COUNT))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self.unknown += may_have_happened(error)
            self.errors.append((due_ns, f"{self.kind}: {describe(error)}"))
            if len(self.errors) >= _ERRORS_MAX or not isinstance(error, asyncpg.PostgresError):
                raise
        else:
            self.acknowledged += 1
            self._taken.append((due_ns, monotonic_ns() - due_ns))


async def run(urls: list[str], rate_per_s: float) -> dict[str, Any]:
    """Ask until SIGTERM, and until what was due then is answered; return what came of it."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    taken: dict[str, Taken] = {kind: [] for kind in KINDS}
    clients = []
    for url in urls:
        for kind in KINDS:
            connection = await asyncpg.connect(url)
            client = _Client(kind, await connection.prepare(STATEMENTS[kind]), taken[kind])
            client.issue(monotonic_ns())
            clients.append(client)
    tasks = [asyncio.ensure_future(client.run()) for client in clients]
    await asyncio.sleep(_WARM_S)
    print("ready", flush=True)
    await _schedule(clients, rate_per_s, stop.is_set)
    for client in clients:
        client.due.put_nowait(None)
    _, stuck = await asyncio.wait(tasks, timeout=_DRAIN_S_MAX)
    for task in stuck:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    writers = [client for client in clients if client.kind == WRITING]
    return {
        "taken": taken,
        "acknowledged": sum(client.acknowledged for client in writers),
        "unknown": sum(client.unknown for client in writers) + len(stuck),
        "unanswered": sum(client.asked - client.acknowledged for client in clients),
        "errors": [error for client in clients for error in client.errors],
    }


Stopped = Callable[[], bool]


async def _schedule(clients: list[_Client], rate_per_s: float, stopped: Stopped) -> None:
    """Give each client a due time `rate_per_s` times a second; the clients take turns."""
    gap_ns, turn = 1e9 / rate_per_s / len(clients), 0
    start_ns = monotonic_ns()
    with Ticker(_TICK_S) as ticker:
        while not stopped():
            await ticker.wait()
            now_ns = monotonic_ns()
            while (at_ns := start_ns + int(turn * gap_ns)) <= now_ns:
                clients[turn % len(clients)].issue(at_ns)
                turn += 1


def _come_first() -> None:
    """Run as soon as there is an answer: the client's wait for a CPU is not the server's."""
    with contextlib.suppress(PermissionError):
        os_priority.set_realtime(0, os_priority.REALTIME_GUARD, inherit=True)


def main() -> None:
    """Ask, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument(
        "--rate", type=float, required=True, help="of each kind and URL, per second"
    )
    arguments = parser.parse_args()
    _come_first()
    print(json.dumps(uvloop.run(run(arguments.url, arguments.rate))))


if __name__ == "__main__":
    main()
