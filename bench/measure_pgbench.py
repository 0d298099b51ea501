"""pgbench's point SELECT and TPC-B on both systems, and the same SELECT from our own client."""

import json
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.load import summarize
from bench.plan import Bench, Plan
from bench.programs import BenchFailed, find_program, run_generator, run_program
from bench.report import Row, Sample, sample_of
from bench.servers import Postgres, Stack

System = Stack | Postgres
Servers = list[tuple[str, System]]

_ROWS_PER_SCALE: Final = 100_000
_INIT_S_MAX: Final = 120
_SETUP_S_MAX: Final = 60
_WARM_UP_S: Final = 1  # plans, caches; the first growth of files
_QUIET_S_MAX: Final = 10.0
_QUIET_SAMPLE_S: Final = 0.5
_QUIET_CORES: Final = 0.2
_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED: Final = re.compile(r"number of failed transactions: (\d+)")
_LATENCY_FIELD: Final = 2  # of a line of the log: client, transaction number, microseconds
_TENANT: Final = "pgbench"


def measure_select(bench: Bench) -> list[Row]:
    """Point SELECT: pgbench -S, and asyncpg with a prepared statement."""
    servers = _loaded(bench)
    rows = _pgbench_rows(bench, servers, ("point SELECT (pgbench -S)", "select"), ("-S",))
    return rows + _own_client_rows(bench, servers)


def measure_tpcb(bench: Bench) -> list[Row]:
    """TPC-B-like transactions."""
    return _pgbench_rows(bench, _loaded(bench), ("TPC-B (pgbench)", "tpcb"), ())


def _loaded(bench: Bench) -> Servers:
    """Return both systems with their URLs, Insula first; pgbench's tables are filled once."""
    is_loaded = bench.stack.has_tenant(_TENANT)
    url = bench.stack.url(_TENANT) if is_loaded else bench.stack.create_tenant(_TENANT)
    servers: Servers = [(url, bench.stack)]
    if bench.postgres is not None:
        servers.append((bench.postgres.url(), bench.postgres))
    if is_loaded:
        return servers
    for url, _ in servers:
        bench.say("pgbench -i")
        _pgbench(["-i", "-I", "dtgp", "-q", "-s", str(bench.plan.pgbench_scale)], url, _INIT_S_MAX)
    if bench.postgres is not None:
        with psycopg.connect(bench.postgres.url(), autocommit=True) as connection:
            connection.execute("vacuum analyze")
    _wait_quiet(bench.stack)  # Insula collects the garbage of the load by itself
    return servers


def _wait_quiet(stack: Stack) -> None:
    """Wait until the stack has little to do, but not for ever."""
    deadline_s = time.monotonic() + _QUIET_S_MAX
    while time.monotonic() < deadline_s:
        start_s = stack.cpu_s()
        time.sleep(_QUIET_SAMPLE_S)
        if stack.cpu_s() - start_s < _QUIET_CORES * _QUIET_SAMPLE_S:
            return


def _pgbench_rows(
    bench: Bench, servers: Servers, names: tuple[str, str], options: tuple[str, ...]
) -> list[Row]:
    rows = []
    for url, _ in servers:
        bench.say(f"{names[0]}, warm-up")
        words = ["-n", "-c", str(max(bench.plan.clients)), "-j", "2", *options]
        _pgbench([*words, "-T", str(_WARM_UP_S)], url, _WARM_UP_S + _SETUP_S_MAX)
    for mode in bench.plan.modes:
        for clients in bench.plan.clients:
            bench.say(f"{names[0]}, {mode}, {_clients(clients)}")
            samples = [_run(bench.plan, server, mode, clients, options) for server in servers]
            rows.append(
                Row(
                    key=f"{names[1]}/{mode}/{clients}",
                    what=names[0],
                    setting=f"{mode}, {_clients(clients)}",
                    ratio_of="rate_per_s",
                    insula=samples[0],
                    postgres=samples[1] if len(samples) > 1 else None,
                )
            )
    return rows


def _run(
    plan: Plan, server: tuple[str, System], mode: str, clients: int, options: tuple[str, ...]
) -> Sample:
    url, system = server
    words = ["-n", "-M", mode, "-c", str(clients), "-j", str(min(clients, 2))]
    words += ["-T", str(plan.pgbench_s), *options]
    with tempfile.TemporaryDirectory(prefix="insula-bench-log-") as folder:
        words += ["--log", f"--log-prefix={folder}/log"]
        server_start_s = system.cpu_s()
        output, cpu_s = _pgbench(words, url, plan.pgbench_s + _SETUP_S_MAX)
        server_cpu_s = system.cpu_s() - server_start_s
        sample = read_pgbench(output, Path(folder), server_cpu_s=server_cpu_s)
    return replace(sample, generator_cpu=cpu_s / plan.pgbench_s)


def read_pgbench(output: str, log_folder: Path, *, server_cpu_s: float) -> Sample:
    """Return what pgbench printed and logged. Raises: BenchFailed if it printed no rate."""
    tps, failed = _TPS.search(output), _FAILED.search(output)
    latencies_ns = [
        int(line.split()[_LATENCY_FIELD]) * 1_000
        for file in sorted(log_folder.iterdir())
        for line in file.read_text().splitlines()
        if line.split()[_LATENCY_FIELD].isdigit()  # else the transaction failed
    ]
    if tps is None or not latencies_ns:
        raise BenchFailed(f"pgbench printed no rate: {output}")
    p50_ms, p99_ms, _ = summarize(latencies_ns)
    return Sample(
        rate_per_s=float(tps[1]),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        failed_count=0 if failed is None else int(failed[1]),
        server_cpu_ms=server_cpu_s * 1e3 / len(latencies_ns),
    )


def _pgbench(words: list[str], url: str, limit_s: float) -> tuple[str, float]:
    program = find_program("pgbench")
    if program is None:
        raise BenchFailed("pgbench is not installed")
    done = run_program([program, *words, url], limit_s=limit_s)
    return done.output, done.cpu_s


def _own_client_rows(bench: Bench, servers: Servers) -> list[Row]:
    bench.say("point SELECT, prepared, asyncpg")
    results = [_own_client(bench, url) for url, _ in servers]
    return [_own_client_row(list(pair)) for pair in zip(*results, strict=True)]


def _own_client(bench: Bench, url: str) -> list[dict[str, Any]]:
    done = run_generator(
        "bench.sql_client",
        *("--url", url, "--rows", str(bench.plan.pgbench_scale * _ROWS_PER_SCALE)),
        *("--seconds", str(bench.plan.select_s)),
        *("--clients", *map(str, bench.plan.clients)),
        limit_s=_SETUP_S_MAX + 20 * bench.plan.select_s,
    )
    measurements: list[dict[str, Any]] = json.loads(done.output)
    return measurements


def _own_client_row(pair: list[dict[str, Any]]) -> Row:
    first, clients = pair[0], pair[0]["in_flight"]
    is_open = first["loop"] == "open"
    setting = f"prepared, {_clients(clients)}"
    return Row(
        key=f"select/asyncpg/{'open' if is_open else clients}",
        what="point SELECT (asyncpg)",
        setting=setting + (", open loop at half of each one's rate" if is_open else ""),
        ratio_of="p50_ms",
        insula=sample_of(first),
        postgres=sample_of(pair[1]) if len(pair) > 1 else None,
    )


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
