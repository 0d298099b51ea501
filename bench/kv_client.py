"""KV reads and commits against a running node, on both transports: closed loop, then open loop.

    python -m bench.kv_client --unix PATH --kv HOST:PORT --admin HOST:PORT --admin-token FILE

Makes a tenant of its own, fills it, measures, drops it. The open loop asks at half the rate that
the widest closed loop reached.
"""

import argparse
import asyncio
import json
import secrets
from pathlib import Path
from typing import Any, Final

import grpc.aio
import uvloop

from bench.load import Measurement, closed_loop, open_loop
from kvapi import layout
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.keys import KeyCodec, KeyColumn, KeyKind
from kvapi.pb import admin_pb2, admin_pb2_grpc
from runtime.clock import SystemClock

IN_FLIGHT: Final = (1, 16, 64)
ROW_COUNT: Final = 10_000
OPEN_LOAD: Final = 0.5  # of the highest rate of the closed loop
_OPEN_IN_FLIGHT_MAX: Final = 1_000
_KEYS: Final = KeyCodec([KeyColumn(KeyKind.INT)])


def bench_key(n: int) -> bytes:
    """Return a key like that of a table row with an integer primary key."""
    return layout.index_prefix(1, 1) + _KEYS.encode((n,))


class _Requests:
    """The requests that are measured: `name` → what to await."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        # A step that shares no factor with the number of rows visits all of them, scattered.
        self._keys = [bench_key(n * 7919 % ROW_COUNT) for n in range(ROW_COUNT)]

    async def fill(self) -> None:
        """Write every row: 100 bytes each."""
        writes: dict[bytes, bytes | None] = {key: bytes(100) for key in self._keys}
        await self._commit(writes)

    async def get(self, turn: int) -> None:
        """Read one row at the newest snapshot."""
        await self._client.get(self._keys[turn % ROW_COUNT])

    async def commit(self, turn: int) -> None:
        """Write one row, durably."""
        await self._commit({self._keys[turn % ROW_COUNT]: bytes(100)})

    async def _commit(self, writes: dict[bytes, bytes | None]) -> None:
        txn_id = secrets.token_bytes(16)
        await self._client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes=writes)


async def measure_node(
    addresses: dict[str, str], credential: bytes, seconds: float
) -> list[Measurement]:
    """Measure gets and commits over every transport in `addresses` (name → address)."""
    results = []
    for transport, address in addresses.items():
        client = KvClient(address, config=ClientConfig(client_name="bench"), clock=SystemClock())
        await client.authenticate(credential)
        try:
            requests = _Requests(client)
            await requests.fill()
            for operation, ask in (("get", requests.get), ("commit", requests.commit)):
                name = f"{transport} {operation}"
                for in_flight in IN_FLIGHT:
                    closed = await closed_loop(name, ask, in_flight=in_flight, seconds=seconds)
                    results.append(closed)
                rate = results[-1].rate_per_s * OPEN_LOAD
                opened = await open_loop(
                    name,
                    ask,
                    rate_per_s=rate,
                    seconds=seconds,
                    in_flight_max=_OPEN_IN_FLIGHT_MAX,
                )
                results.append(opened)
        finally:
            await client.close()
    return results


class Admin:
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
    admin = Admin(arguments.admin, arguments.admin_token)
    tenant = f"bench-{secrets.token_hex(4)}"
    credential = await admin.create(tenant)
    addresses = {"unix": f"unix:{arguments.unix}"} if arguments.unix else {}
    if arguments.kv:
        addresses["grpc"] = arguments.kv
    try:
        return await measure_node(addresses, credential, arguments.seconds)
    finally:
        await asyncio.shield(admin.drop(tenant))


def main() -> None:
    """Measure and print one line for each measurement, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", default="")
    parser.add_argument("--kv", default="")
    parser.add_argument("--admin", required=True)
    parser.add_argument("--admin-token", required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = uvloop.run(_run(arguments))
    if arguments.json:
        print(json.dumps([m.as_dict() for m in results]))
        return
    head = ("", "loop", "in flight", "rate/s", "median us", "p99 us", "client cpu us")
    print("{:12}{:7}{:>10}{:>12}{:>11}{:>9}{:>15}".format(*head))
    for m in results:
        print(
            f"{m.name:12}{m.loop:7}{m.in_flight:10}{m.rate_per_s:12,.0f}"
            f"{m.p50_ms * 1e3:11.1f}{m.p99_ms * 1e3:9.1f}{m.generator_cpu_us:15.1f}"
        )


if __name__ == "__main__":
    main()
