"""Single-row commits of one tenant, alone and beside a large transaction of another.

    python -m bench.bulk_client --unix PATH --admin HOST:PORT --admin-token FILE

The large transaction runs in a process of its own (`--load`): it stages its rows, commits, and
begins again, until it is told to stop; what has been committed is moved meanwhile.
"""

import argparse
import asyncio
import base64
import json
import secrets
import signal
import sys
import time
from typing import Any

import uvloop

from bench.kv_client import Admin, bench_key
from bench.load import Measurement, closed_loop
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from runtime.clock import SystemClock

_VALUE = bytes(100)
_ROWS_PER_CALL = 8_192


async def _client(path: str, credential: bytes) -> KvClient:
    client = KvClient(f"unix:{path}", config=ClientConfig(client_name="bench"), clock=SystemClock())
    await client.authenticate(credential)
    return client


async def load(path: str, credential: bytes, row_count: int) -> dict[str, Any]:
    """Run large transactions until SIGTERM; return how fast the first one was."""
    client = await _client(path, credential)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    measured: dict[str, Any] = {}
    first = 0
    while not stop.is_set():
        txn_id, start_s = secrets.token_bytes(16), time.monotonic()
        staged = 0
        while staged < row_count and not stop.is_set():
            count = min(_ROWS_PER_CALL, row_count - staged)
            keys = [bench_key(first + staged + n) for n in range(count)]
            await client.stage(txn_id=txn_id, writes=dict.fromkeys(keys, _VALUE), absent_keys=keys)
            staged += count
        staged_s = time.monotonic() - start_s
        await client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes={})
        if not measured or staged == row_count:
            measured = {
                "row_count": staged,
                "rows_per_s": staged / staged_s,
                "commit_ms": (time.monotonic() - start_s - staged_s) * 1e3,
            }
        first += row_count
    await client.close()
    return measured


async def _commits(client: KvClient, name: str, seconds: float) -> Measurement:
    async def commit(turn: int) -> None:
        txn_id = secrets.token_bytes(16)
        writes: dict[bytes, bytes | None] = {bench_key(turn % 1000): _VALUE}
        await client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes=writes)

    return await closed_loop(name, commit, in_flight=1, seconds=seconds)


async def _beside(
    client: KvClient, arguments: argparse.Namespace, credential: bytes
) -> tuple[Measurement, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bench.bulk_client", "--unix", arguments.unix),
        *("--load", base64.b64encode(credential).decode(), "--rows", str(arguments.rows)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await asyncio.sleep(1.0)  # until it is at work
        measured = await _commits(client, "beside", arguments.seconds)
    finally:
        process.terminate()
        output, _ = await process.communicate()
    return measured, json.loads(output)


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure alone, beside, and alone again."""
    admin = Admin(arguments.admin, arguments.admin_token)
    names = [f"bench-{secrets.token_hex(4)}" for _ in range(2)]
    small, large = [await admin.create(name) for name in names]
    client = await _client(arguments.unix, small)
    try:
        alone = await _commits(client, "alone", arguments.seconds)
        beside, loaded = await _beside(client, arguments, large)
    finally:
        await client.close()
        for name in names:
            await asyncio.shield(admin.drop(name))
    return {"alone": alone.as_dict(), "beside": beside.as_dict(), "load": loaded}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", required=True)
    parser.add_argument("--admin", default="")
    parser.add_argument("--admin-token", default="")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--load", default="", help="credential of the loading process")
    arguments = parser.parse_args()
    if arguments.load:
        credential = base64.b64decode(arguments.load)
        print(json.dumps(uvloop.run(load(arguments.unix, credential, arguments.rows))))
    else:
        print(json.dumps(uvloop.run(measure(arguments))))


if __name__ == "__main__":
    main()
