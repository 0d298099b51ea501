"""Fits the prices of KV requests to this machine, and says how well they fit.

    python -m bench.calibrate [--seconds S] [--rounds N] [--json]

Starts a stack in a temporary directory, runs workloads against its KV node one by one, counts what
each used as any SQL process does (sqlnode/ru_meter.py), and reads the KV node's CPU time. Prints
the fitted prices beside those of the table (admission/cost_model.py), and each workload's error
with the fitted ones. What is no CPU time (the disk behind a write, egress) no fit can tell.
"""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import uvloop

from admission.calibration import Workload, fit, relative_error
from admission.cost_model import PRICES
from bench.kv_client import Admin, bench_key
from bench.machine import describe_machine
from bench.servers import Stack, insula_stack
from cli.output import format_table
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.client.meter import current_meter
from kvapi.spans import Span
from runtime.clock import SystemClock
from sqlnode.ru_meter import RuMeter

IN_FLIGHT: Final = 8
ROW_COUNT: Final = 20_000
FITTED: Final = (
    "read_batches",
    "read_requests",
    "read_bytes",
    "write_batches",
    "write_requests",
    "write_bytes",
)
MS_PER_RU: Final = 1_000 / PRICES["kv_cpu_s"].ru
_SMALL, _LARGE = 100, 4_000  # bytes of a value
Ask = Callable[[int], Awaitable[Any]]


class _Asks:
    """The workloads: `name` → what to await at each turn."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._keys = [bench_key(n * 7919 % ROW_COUNT) for n in range(ROW_COUNT)]
        self._large = [bench_key(ROW_COUNT + n) for n in range(500)]
        self._new = 0

    async def fill(self) -> None:
        for start in range(0, ROW_COUNT, 1_000):
            await self._write(self._keys[start : start + 1_000], _SMALL)
        await self._write(self._large, _LARGE)

    def all(self) -> dict[str, Ask]:
        asks: dict[str, Ask] = {"get, 100 B": lambda n: self._client.get(self._key(n))}
        asks["get, 4 kB"] = lambda n: self._client.get(self._large[n % len(self._large)])
        for count in (4, 16, 64):
            asks[f"multi_get of {count}, 100 B"] = self._multi_get(self._keys, count)
        asks["multi_get of 16, 4 kB"] = self._multi_get(self._large, 16)
        for count in (10, 100, 1_000):
            asks[f"scan of {count}, 100 B"] = self._scan(0, count)
        asks["scan of 100, 4 kB"] = self._scan(ROW_COUNT, 100)
        for count in (1, 4, 16, 64):
            asks[f"commit of {count}, 100 B"] = self._commit(count, _SMALL)
        for count in (1, 16):
            asks[f"commit of {count}, 4 kB"] = self._commit(count, _LARGE)
        return asks

    def _key(self, turn: int) -> bytes:
        return self._keys[turn % ROW_COUNT]

    def _multi_get(self, keys: list[bytes], count: int) -> Ask:
        def ask(turn: int) -> Awaitable[Any]:
            at = turn * count % (len(keys) - count)
            return self._client.multi_get(keys[at : at + count])

        return ask

    def _scan(self, first: int, count: int) -> Ask:
        span = Span(bench_key(first), bench_key(first + count))
        return lambda _: self._client.scan(span)

    def _commit(self, count: int, size_bytes: int) -> Ask:
        def ask(turn: int) -> Awaitable[Any]:
            at = turn * count % (ROW_COUNT - count)
            return self._write(self._keys[at : at + count], size_bytes)

        return ask

    async def _write(self, keys: list[bytes], size_bytes: int) -> None:
        writes: dict[bytes, bytes | None] = dict.fromkeys(keys, bytes(size_bytes))
        txn_id = secrets.token_bytes(16)
        await self._client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes=writes)


def thread_cpu_ms(pid: int) -> float:
    """Return the CPU time of a process's threads, finer than clock ticks."""
    spent = (folder / "schedstat" for folder in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(path.read_text().split()[0]) for path in spent) / 1e6


async def measure(stack: Stack, credential: bytes, seconds: float) -> list[Workload]:
    """Run every workload once for some seconds."""
    address = f"unix:{stack.kv_socket}"
    client = KvClient(address, config=ClientConfig(client_name="calibrate"), clock=SystemClock())
    await client.authenticate(credential)
    try:
        asks = _Asks(client)
        await asks.fill()
        found = []
        for name, ask in asks.all().items():
            await _run(ask, seconds / 5)
            found.append(await _measure(name, ask, seconds, stack.kvnode_pid()))
        return found
    finally:
        await client.close()


async def _measure(name: str, ask: Ask, seconds: float, pid: int) -> Workload:
    meter = RuMeter()
    before_ms = thread_cpu_ms(pid)
    token = current_meter.set(meter)
    await _run(ask, seconds)
    current_meter.reset(token)
    cpu_ms = thread_cpu_ms(pid) - before_ms
    counts = {name: float(getattr(meter, name)) for name in FITTED}
    return Workload(name=name, counts=counts, cpu_ms=cpu_ms, measured_ms=meter.kv_cpu_s * 1e3)


async def _run(ask: Ask, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end_s, turn = loop.time() + seconds, 0

    async def one() -> None:
        nonlocal turn
        while loop.time() < end_s:
            turn += 1
            await ask(turn)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(one())


def _median(rounds: list[list[Workload]]) -> list[Workload]:
    """Return of each workload the round whose CPU time for one batch is the median."""

    def per_batch(workload: Workload) -> float:
        batches = workload.counts["read_batches"] + workload.counts["write_batches"]
        return workload.cpu_ms / max(batches, 1)

    return [sorted(runs, key=per_batch)[len(runs) // 2] for runs in zip(*rounds, strict=True)]


def main() -> None:
    """Measure, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each workload")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = []
    with insula_stack(idle_s=60) as stack:
        admin = Admin(stack.running.admin, str(stack.admin_token_file))
        credential = uvloop.run(admin.create("calibrate"))
        for _ in range(options.rounds):
            rounds.append(uvloop.run(measure(stack, credential, options.seconds)))
    workloads = _median(rounds)
    fitted = fit(workloads, FITTED)
    report = _json(workloads, fitted) if options.json else _text(workloads, fitted)
    sys.stdout.write(report + "\n")


def _table_ms() -> dict[str, float]:
    """Return the milliseconds of CPU that the table charges for."""
    return {name: PRICES[name].ru * MS_PER_RU for name in FITTED}


def _json(workloads: list[Workload], fitted: dict[str, float]) -> str:
    return json.dumps(
        {
            "machine": describe_machine(),
            "fitted_ms": fitted,
            "fitted_ru": {name: ms / MS_PER_RU for name, ms in fitted.items()},
            "table_ms": _table_ms(),
            "errors": {w.name: relative_error(w, fitted) for w in workloads},
        }
    )


def _text(workloads: list[Workload], fitted: dict[str, float]) -> str:
    table_ms = _table_ms()
    machine = "\n".join(f"{name}: {value}" for name, value in describe_machine().items())
    prices = [
        [
            name,
            PRICES[name].unit,
            f"{fitted[name] * 1e3:.4f}",
            f"{fitted[name] / MS_PER_RU:.3g}",
            f"{PRICES[name].ru:.3g}",
            f"{table_ms[name] / fitted[name]:.1f}" if fitted[name] else "",
        ]
        for name in FITTED
    ]
    errors = [
        [w.name, f"{w.cpu_ms:.1f}", f"{w.measured_ms:.1f}", f"{relative_error(w, fitted):+.1%}"]
        for w in workloads
    ]
    mean = sum(abs(relative_error(w, fitted)) for w in workloads) / len(workloads)
    return "\n\n".join(
        [
            machine,
            format_table(["PRICE OF", "UNIT", "µS OF CPU", "RU", "TABLE RU", "TABLE/CPU"], prices),
            format_table(["WORKLOAD", "CPU MS", "MEASURED", "ERROR"], errors),
            f"mean error of the fit: {mean:.1%}; 1 RU is {MS_PER_RU:g} ms of CPU",
        ]
    )


if __name__ == "__main__":
    main()
