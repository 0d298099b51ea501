"""Prepared point SELECTs over asyncpg, closed loop and open loop, from a process of its own.

    python -m bench.sql_client --url URL --rows N --clients 1 8 32 --seconds S

Reads `pgbench_accounts`, which `pgbench -i` made. Prints JSON. The open loop asks at half the rate
that the widest closed loop reached.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import uvloop

from bench.load import Ask, Measurement, closed_loop, open_loop

OPEN_LOAD: Final = 0.5
_QUERY: Final = "select abalance from pgbench_accounts where aid = $1"


async def measure(
    url: str, *, row_count: int, clients: Sequence[int], seconds: float
) -> list[Measurement]:
    """Measure with each number of clients, each with a connection and a statement of its own."""
    connections: list[Any] = [await asyncpg.connect(url) for _ in range(max(clients))]
    try:
        statements = [await connection.prepare(_QUERY) for connection in connections]
        results = []
        for count in clients:
            ask = _spread(statements[:count], row_count)
            await closed_loop("warm-up", ask, in_flight=count, seconds=min(seconds / 4, 0.5))
            results.append(await closed_loop("point select", ask, in_flight=count, seconds=seconds))
        results.append(
            await open_loop(
                "point select",
                _spread(statements, row_count),
                rate_per_s=results[-1].rate_per_s * OPEN_LOAD,
                seconds=seconds,
                in_flight_max=max(clients),
            )
        )
        return results
    finally:
        for connection in connections:
            await connection.close()


def _spread(statements: Sequence[Any], row_count: int) -> Ask:
    """Return a request that takes a free connection; there is one for each worker."""
    free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for statement in statements:
        free.put_nowait(statement)

    async def ask(turn: int) -> None:
        statement = free.get_nowait()
        try:
            await statement.fetchval(turn * 7919 % row_count + 1)
        finally:
            free.put_nowait(statement)

    return ask


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--clients", type=int, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    results = uvloop.run(
        measure(
            arguments.url,
            row_count=arguments.rows,
            clients=arguments.clients,
            seconds=arguments.seconds,
        )
    )
    print(json.dumps([m.as_dict() for m in results]))


if __name__ == "__main__":
    main()
