"""What a tenant costs to create and to keep, against a PostgreSQL database."""

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import psycopg

from bench.load import summarize
from bench.plan import Bench
from bench.report import Row, Sample


def measure_tenants(bench: Bench) -> list[Row]:
    """Create tenants one after another; count the bytes of an empty one."""
    bench.say("tenant create, empty tenant")
    created, empty, grown = _create_tenants(bench)
    database = _create_databases(bench)
    return [
        Row(
            key="tenant/create",
            what="tenant create / CREATE DATABASE",
            setting=f"{bench.plan.create_count} tenants, {bench.plan.database_count} databases",
            ratio_of="p50_ms",
            insula=created,
            postgres=None if database is None else database[0],
        ),
        Row(
            key="tenant/bytes",
            what="empty tenant / empty database",
            setting="keys and values / pg_database_size",
            ratio_of="size_bytes",
            insula=empty,
            postgres=None if database is None else database[1],
        ),
        Row(
            key="tenant/disk",
            what="empty tenant: growth of the store",
            setting=f"blocks on disk, {bench.plan.create_count} tenants, divided",
            ratio_of="size_bytes",
            insula=grown,
        ),
    ]


def _create_tenants(bench: Bench) -> tuple[Sample, Sample, Sample]:
    count = bench.plan.create_count
    before = bench.stack.store_bytes()
    names = [f"empty-{n}" for n in range(count)]
    with bench.stack.administering() as create:
        create("empty-first")  # opens the channel
        timed = [_timed(partial(create, name)) for name in names]
        size = bench.stack.live_bytes(names[-1])
    p50_ms, p99_ms, _ = summarize(timed)
    growth = max(bench.stack.store_bytes() - before, 0) / (count + 1)
    for name in ("empty-first", *names):
        bench.stack.drop_tenant(name)
    return Sample(p50_ms=p50_ms, p99_ms=p99_ms), Sample(size_bytes=size), Sample(size_bytes=growth)


def _create_databases(bench: Bench) -> tuple[Sample, Sample] | None:
    if bench.postgres is None:
        return None
    names = [f"empty_{n}" for n in range(bench.plan.database_count)]
    with psycopg.connect(bench.postgres.url(), autocommit=True) as connection:
        timed = [
            _timed(partial(connection.execute, f"create database {name}".encode()))
            for name in names
        ]
        row = connection.execute("select pg_database_size(%s::name)", (names[0],)).fetchone()
        for name in names:
            connection.execute(f"drop database {name}".encode())
    p50_ms, p99_ms, _ = summarize(timed)
    return Sample(p50_ms=p50_ms, p99_ms=p99_ms), Sample(size_bytes=row[0] if row else None)


def _timed(do: Callable[[], object]) -> int:
    start_ns = perf_counter_ns()
    do()
    return perf_counter_ns() - start_ns
