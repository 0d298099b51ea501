"""Connect → first row, for tenants that have no process."""

import json
import time
from typing import Any, Final

import psycopg

from bench.plan import Bench
from bench.programs import BenchFailed, run_generator
from bench.report import Row, Sample

_SETUP: Final = (
    "create table first_row (id integer primary key, v text);"
    "insert into first_row values (1, 'one')"
)
_ROW_QUERY: Final = "select v from first_row where id = 1"
_WARM_PATH: Final = 'insula_gateway_hand_over_seconds_count{path="warm"} '
_PREFIX: Final = "cold-"
_SLEEP_S_MAX: Final = 90.0


def measure_connect(bench: Bench) -> list[Row]:
    """Wake each tenant twice: before it ever had a process, and after its process was retired."""
    bench.say(f"connect to {bench.plan.connect_count} sleeping tenants, twice")
    names = [f"{_PREFIX}{n}" for n in range(bench.plan.connect_count)]
    with bench.stack.administering() as create:
        for name in names:
            create(name)
    urls = [bench.stack.url(name) for name in names]
    wait_asleep(bench)
    samples = [_wake(bench, urls, query="select 1", setup=_SETUP)]
    wait_asleep(bench)
    samples.append(_wake(bench, urls, query=_ROW_QUERY, setup=""))
    theirs = _postgres_samples(bench)
    setting = f"{bench.plan.connect_count} tenants, one after another"
    return [
        Row(
            key=key,
            what=f"connect → first row, {what}",
            setting=setting,
            ratio_of="p50_ms",
            insula=ours,
            postgres=other,
        )
        for key, what, ours, other in zip(
            ("connect/one", "connect/row"),
            ("new tenant: select 1", "tenant asleep: row of a table"),
            samples,
            theirs,
            strict=True,
        )
    ]


def wait_asleep(bench: Bench) -> None:
    """Wait until no tenant of ours has a process and the pool is warm. Raises: BenchFailed."""
    deadline_s = time.monotonic() + _SLEEP_S_MAX
    while True:
        processes = json.loads(bench.stack.http("/debug/processes"))
        awake = [p for p in processes if (p.get("tenant") or "").startswith(_PREFIX)]
        if not awake and any(p.get("state") == "warm" for p in processes):
            return
        if time.monotonic() > deadline_s:
            raise BenchFailed(f"{len(awake)} tenants did not go to sleep")
        time.sleep(0.2)


def _wake(bench: Bench, urls: list[str], *, query: str, setup: str) -> Sample:
    warm_before = _warm_hand_overs(bench)
    result = _connect(
        bench,
        urls,
        ("--http", bench.stack.running.http, "--query", query, "--setup", setup),
        bench.plan.connect_gap_s,
    )
    elsewhere = len(urls) - (_warm_hand_overs(bench) - warm_before)
    return _sample(result, not_warm_count=max(elsewhere, result["pool_empty_count"]))


def _postgres_samples(bench: Bench) -> list[Sample | None]:
    if bench.postgres is None:
        return [None, None]
    url = bench.postgres.url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop table if exists first_row")
        connection.execute(_SETUP.encode())
    urls = [url] * bench.plan.connect_count
    return [
        _sample(_connect(bench, urls, ("--query", query), 0.01))
        for query in ("select 1", _ROW_QUERY)
    ]


def _connect(
    bench: Bench, urls: list[str], arguments: tuple[str, ...], gap_s: float
) -> dict[str, Any]:
    done = run_generator(
        "bench.connect_client",
        *("--gap-s", str(gap_s)),
        *arguments,
        limit_s=30 + len(urls) * (gap_s + 0.5),
        text="\n".join(urls),
    )
    result: dict[str, Any] = json.loads(done.output)
    return result


def _sample(result: dict[str, Any], *, not_warm_count: int | None = None) -> Sample:
    return Sample(p50_ms=result["p50_ms"], p99_ms=result["p99_ms"], not_warm_count=not_warm_count)


def _warm_hand_overs(bench: Bench) -> int:
    """Return how many sessions the gateway handed to a process from the warm pool."""
    for line in bench.stack.http("/metrics").splitlines():
        if line.startswith(_WARM_PATH):
            return int(float(line.removeprefix(_WARM_PATH)))
    return 0
