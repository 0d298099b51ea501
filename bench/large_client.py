"""Single-row commits of one tenant through SQL, alone and beside large transactions of another.

    python -m bench.large_client --quiet URL --noisy URL --http HOST:PORT --rows N --seconds S

**Model.** The noisy tenant's client is a process of its own (`--load`) at the lowest priority. It
inserts, updates, copies and deletes, a large transaction each, and says when a phase begins:

    runs     the statement, which stages its rows
    commits  COMMIT
    moves    from its answer until the node has moved all intents

The quiet tenant commits one row at a time meanwhile, at a fixed rate and as fast as one client
goes; a latency belongs to the phase in which its commit began. Alone is measured before and after.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import urllib.request
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from time import monotonic_ns
from typing import Any, Final

import asyncpg
import uvloop

from bench.load import summarize
from bench.ticker import Ticker

PHASES: Final = ("runs", "commits", "moves")
RATE_PER_S: Final = 50.0
_ALONE: Final = "alone"
_PAUSE: Final = ""
_COPY_BYTES: Final = 64 << 10
_UNMOVED: Final = "insula_kvnode_intents_bytes "
_QUIET_ROWS: Final = 1000
_CONNECTIONS: Final = 8  # of the client with a fixed rate


@dataclass(slots=True)
class Commits:
    """When each commit was due, and how long it took."""

    at_ns: "array[int]" = field(default_factory=lambda: array("q"))
    took_ns: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, at_ns: int) -> None:
        """Take note of a commit that ends now."""
        self.at_ns.append(at_ns)
        self.took_ns.append(monotonic_ns() - at_ns)


class Phases:
    """Which phase began when."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.at_ns: list[int] = []
        self.rows_per_s: dict[str, float] = {}

    def begin(self, name: str, at_ns: int) -> None:
        """Take note that a phase begins, and so the one before it ends."""
        self.names.append(name)
        self.at_ns.append(at_ns)

    def split(self, commits: Commits) -> dict[str, list[int]]:
        """Return the latencies of each phase; those of all statements together."""
        found: dict[str, list[int]] = {}
        for at_ns, took_ns in zip(commits.at_ns, commits.took_ns, strict=True):
            index = bisect_right(self.at_ns, at_ns) - 1
            if index >= 0 and (name := self.names[index]):
                found.setdefault(name, []).append(took_ns)
                found.setdefault(name.split()[-1], []).append(took_ns)
        return found


async def _steady(url: str, commits: Commits) -> None:
    """Commit at `RATE_PER_S`, whatever the answers take; what waits for a connection counts."""
    gap_ns, free = int(1e9 / RATE_PER_S), asyncio.LifoQueue[Any]()
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            free.put_nowait(await stack.enter_async_context(_connected(url)))

        async def commit(turn: int, due_ns: int) -> None:
            connection = await free.get()
            await _commit(connection, turn)
            commits.add(due_ns)
            free.put_nowait(connection)

        due_ns = monotonic_ns()
        with Ticker(0.0005) as ticker:
            for turn in count():
                while monotonic_ns() < due_ns:
                    await ticker.wait()
                group.create_task(commit(turn, due_ns))
                due_ns += gap_ns


async def _fast(url: str, commits: Commits) -> None:
    """Commit as fast as one client goes."""
    async with _connected(url) as connection:
        for turn in count():
            start_ns = monotonic_ns()
            await _commit(connection, turn)
            commits.add(start_ns)


async def _commit(connection: Any, turn: int) -> None:
    """UPDATE a row or INSERT one, in turns."""
    if turn % 2:
        await connection.execute("insert into quiet (v) values ($1)", turn)
    else:
        await connection.execute(
            "update quiet set v = v + 1 where id = $1", turn * 7919 % _QUIET_ROWS + 1
        )


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure with both kinds of quiet client, one after the other."""
    async with _connected(arguments.quiet) as connection:
        await connection.execute("create table quiet (id serial primary key, v int)")
        insert = f"insert into quiet (v) select g from generate_series(1, {_QUIET_ROWS}) g"
        await connection.execute(insert)
    clients = {"steady": _steady, "fast": _fast}
    return {name: await _beside(client, arguments) for name, client in clients.items()}


async def _beside(client: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    commits, phases = Commits(), Phases()
    task = asyncio.get_running_loop().create_task(client(arguments.quiet, commits))
    try:
        await asyncio.sleep(0.5)  # warm
        phases.begin(_ALONE, monotonic_ns())
        await asyncio.sleep(arguments.seconds)
        phases.begin(_PAUSE, monotonic_ns())
        await _run_load(phases, arguments)
        phases.begin(_ALONE, monotonic_ns())
        await asyncio.sleep(arguments.seconds)
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    latencies = phases.split(commits)
    measured = {}
    for name, taken in latencies.items():
        p50_ms, p99_ms, max_ms = summarize(taken)
        measured[name] = dict(p50_ms=p50_ms, p99_ms=p99_ms, max_ms=max_ms, count=len(taken))
    return {"phases": measured, "rows_per_s": phases.rows_per_s}


async def _run_load(phases: Phases, arguments: argparse.Namespace) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bench.large_client", "--load", "--noisy", arguments.noisy),
        *("--http", arguments.http, "--rows", str(arguments.rows)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            said = json.loads(line)
            phases.begin(said["phase"], said["at_ns"])
            phases.rows_per_s |= said["rows_per_s"]
        if await process.wait():
            raise RuntimeError("the large transactions failed")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def load(arguments: argparse.Namespace) -> None:
    """Run the large transactions, and say when their phases begin."""
    os.nice(19)
    rows = arguments.rows
    lines = (f"{n}\t{n}\trow {n}\n" for n in range(1, rows + 1))
    async with _connected(arguments.noisy) as connection:
        await connection.execute("drop table if exists large")
        await connection.execute("create table large (id int primary key, v int, t text)")
        insert = f"insert into large select g, g, 'row ' || g from generate_series(1, {rows}) g"
        copied = connection.copy_to_table("large", source=_copied(lines), format="text")
        for name, statement in (
            ("insert", connection.execute(insert, timeout=600)),
            ("update", connection.execute("update large set v = v + 1", timeout=600)),
            ("delete", connection.execute("delete from large", timeout=600)),
            ("copy", copied),
        ):
            await _transaction(connection, name, statement, arguments)


async def _transaction(
    connection: Any, name: str, statement: Any, arguments: argparse.Namespace
) -> None:
    await connection.execute("begin")
    start_ns = monotonic_ns()
    _say(f"{name} runs")
    await statement
    rate = arguments.rows / (monotonic_ns() - start_ns) * 1e9
    _say(f"{name} commits", {name: rate})
    await connection.execute("commit")
    _say(f"{name} moves")
    unmoved = 1.0
    while unmoved:
        await asyncio.sleep(0.2)
        unmoved = await asyncio.to_thread(_unmoved_bytes, arguments.http)
    _say(_PAUSE)


async def _copied(lines: Any) -> AsyncIterator[bytes]:
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _COPY_BYTES:
            yield "".join(held).encode()
            held.clear()
            size = 0
    yield "".join(held).encode()


def _unmoved_bytes(http: str) -> float:
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(_UNMOVED):
                return float(line.removeprefix(_UNMOVED))
    raise RuntimeError("the KV node does not say how much is left to move")


def _say(phase: str, rows_per_s: dict[str, float] | None = None) -> None:
    said = {"phase": phase, "at_ns": monotonic_ns(), "rows_per_s": rows_per_s or {}}
    print(json.dumps(said), flush=True)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", default="", help="URL of the tenant with small commits")
    parser.add_argument("--noisy", required=True, help="URL of the one with large transactions")
    parser.add_argument("--http", required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="alone, before and after")
    parser.add_argument("--load", action="store_true", help="be the noisy tenant's client")
    arguments = parser.parse_args()
    if arguments.load:
        uvloop.run(load(arguments))
    else:
        print(json.dumps(uvloop.run(measure(arguments))))


if __name__ == "__main__":
    main()
