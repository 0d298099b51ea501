"""KV reads and commits against a running node at 1, 16, 64 in flight, on both transports.

    python -m bench.kv_client --unix PATH --kv HOST:PORT --admin HOST:PORT --admin-token FILE

Makes a tenant of its own, fills it, measures, drops it. The load is closed-loop: as many workers as
requests in
flight, each asking again when its answer came. Client CPU is this process's own time, divided by
the answers.
"""

import argparse
import asyncio
import resource
import secrets
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc.aio
import uvloop

from kvapi import layout
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.keys import KeyCodec, KeyColumn, KeyKind
from kvapi.pb import admin_pb2, admin_pb2_grpc
from runtime.clock import SystemClock

IN_FLIGHT = (1, 16, 64)
ROW_COUNT = 10_000
_KEYS = KeyCodec([KeyColumn(KeyKind.INT)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One transport at one number in flight."""

    transport: str
    operation: str
    in_flight: int
    rate_per_s: float
    median_us: float
    p99_us: float
    client_cpu_us: float


def bench_key(n: int) -> bytes:
    """Return a key like that of a table row with an integer primary key."""
    return layout.index_prefix(1, 1) + _KEYS.encode((n,))


async def fill(client: KvClient) -> None:
    """Write the rows that `measure_gets` reads: 100 bytes each."""
    writes: dict[bytes, bytes | None] = {bench_key(n): bytes(100) for n in range(ROW_COUNT)}
    await client.commit(txn_id=secrets.token_bytes(16), read_ts=0, catalog_version=0, writes=writes)


async def measure_gets(
    client: KvClient, transport: str, in_flight: int, seconds: float
) -> Measurement:
    """Read random-looking rows for `seconds`."""
    keys = [bench_key(n * 7919 % ROW_COUNT) for n in range(ROW_COUNT)]

    async def ask(turn: int) -> None:
        await client.get(keys[turn % ROW_COUNT])

    return await _measure(ask, (transport, "get"), in_flight, seconds)


async def measure_commits(
    client: KvClient, transport: str, in_flight: int, seconds: float
) -> Measurement:
    """Commit one row at a time, durably."""

    async def ask(turn: int) -> None:
        await client.commit(
            txn_id=secrets.token_bytes(16),
            read_ts=0,
            catalog_version=0,
            writes={bench_key(turn % ROW_COUNT): bytes(100)},
        )

    return await _measure(ask, (transport, "commit"), in_flight, seconds)


async def _measure(
    ask: Callable[[int], Awaitable[None]], name: tuple[str, str], in_flight: int, seconds: float
) -> Measurement:
    latencies = array("d")
    turn = 0
    deadline = perf_counter() + seconds

    async def work() -> None:
        nonlocal turn
        while (start := perf_counter()) < deadline:
            turn += 1
            await ask(turn)
            latencies.append(perf_counter() - start)

    cpu_before, start = _cpu_s(), perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(in_flight):
            workers.create_task(work())
    elapsed, cpu = perf_counter() - start, _cpu_s() - cpu_before
    ordered = sorted(latencies)
    return Measurement(
        transport=name[0],
        operation=name[1],
        in_flight=in_flight,
        rate_per_s=len(ordered) / elapsed,
        median_us=ordered[len(ordered) // 2] * 1e6,
        p99_us=ordered[len(ordered) * 99 // 100] * 1e6,
        client_cpu_us=cpu / len(ordered) * 1e6,
    )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure_node(
    addresses: dict[str, str], credential: bytes, seconds: float
) -> list[Measurement]:
    """Measure gets and commits over every transport in `addresses` (name → address)."""
    results = []
    for transport, address in addresses.items():
        client = KvClient(address, config=ClientConfig(client_name="bench"), clock=SystemClock())
        await client.authenticate(credential)
        try:
            await fill(client)
            for in_flight in IN_FLIGHT:
                results.append(await measure_gets(client, transport, in_flight, seconds))
            for in_flight in IN_FLIGHT:
                results.append(await measure_commits(client, transport, in_flight, seconds))
        finally:
            await client.close()
    return results


class _Admin:
    """Tenant administration; no channel stays open while the load runs, its threads cost time."""

    def __init__(self, address: str, token_file: str) -> None:
        self._address = address
        self._metadata = (("authorization", f"Bearer {Path(token_file).read_text().strip()}"),)

    async def create(self, tenant: str) -> bytes:
        """Create a tenant and return a credential for it."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            admin: Any = admin_pb2_grpc.TenantAdminStub(channel)
            create = admin_pb2.CreateTenantRequest(name=tenant, user="bench", scram_verifier="x")
            await admin.CreateTenant(create, metadata=self._metadata)
            ask = admin_pb2.GetLoginRequest(tenant=tenant, user="bench")
            login: admin_pb2.Login = await admin.GetLogin(ask, metadata=self._metadata)
            return login.credential

    async def drop(self, tenant: str) -> None:
        """Remove it again."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            admin: Any = admin_pb2_grpc.TenantAdminStub(channel)
            drop = admin_pb2.DropTenantRequest(name=tenant)
            await admin.DropTenant(drop, metadata=self._metadata)


async def _run(arguments: argparse.Namespace) -> list[Measurement]:
    admin = _Admin(arguments.admin, arguments.admin_token)
    tenant = f"bench-{secrets.token_hex(4)}"
    credential = await admin.create(tenant)
    addresses = {"unix": f"unix:{arguments.unix}"} if arguments.unix else {}
    if arguments.kv:
        addresses["grpc"] = arguments.kv
    try:
        return await measure_node(addresses, credential, arguments.seconds)
    finally:
        await admin.drop(tenant)


def main() -> None:
    """Measure and print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", default="")
    parser.add_argument("--kv", default="")
    parser.add_argument("--admin", required=True)
    parser.add_argument("--admin-token", required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    results = uvloop.run(_run(parser.parse_args()))
    head = ("", "in flight", "rate/s", "median us", "p99 us", "client cpu us")
    print("{:12}{:>10}{:>12}{:>11}{:>9}{:>15}".format(*head))
    for m in results:
        print(
            f"{m.transport:5}{m.operation:7}{m.in_flight:10}{m.rate_per_s:12,.0f}"
            f"{m.median_us:11.1f}{m.p99_us:9.1f}{m.client_cpu_us:15.1f}"
        )


if __name__ == "__main__":
    main()
