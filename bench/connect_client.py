"""Connects, each timed from TCP connect to its first row, from a process of its own.

    python -m bench.connect_client --http HOST:PORT --gap-s S --query SQL --setup SQL < urls

One URL per line. `--setup` runs after the measured part in the same session, untimed. With `--http`
(Insula's gateway) each connect is preceded by a look at how many warm processes there are: one that
finds none has to wait for a fork and is counted. Prints JSON.
"""

import argparse
import json
import resource
import sys
import time
import urllib.request
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

import psycopg

from bench.load import summarize


def warm_count(http: str) -> int:
    """Return how many warm processes the gateway has."""
    with urllib.request.urlopen(f"http://{http}/debug/processes", timeout=10) as answer:
        return sum(1 for p in json.load(answer) if p.get("state") == "warm")


def connect_once(url: str, query: str, setup: str) -> int:
    """Return the nanoseconds from TCP connect to first row."""
    start_ns = perf_counter_ns()
    with psycopg.connect(url, autocommit=True, connect_timeout=20) as connection:
        row = connection.execute(query.encode()).fetchone()
        elapsed_ns = perf_counter_ns() - start_ns
        if row is None:
            raise RuntimeError(f"no row from {query}")
        if setup:
            connection.execute(setup.encode())
    return elapsed_ns


def measure(
    urls: Sequence[str], *, http: str, gap_s: float, query: str, setup: str
) -> dict[str, Any]:
    """Connect to each URL in turn."""
    latencies, empty_count = [], 0
    for url in urls:
        time.sleep(gap_s)
        if http and warm_count(http) == 0:
            empty_count += 1
        latencies.append(connect_once(url, query, setup))
    p50_ms, p99_ms, max_ms = summarize(latencies)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "count": len(latencies),
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "max_ms": max_ms,
        "pool_empty_count": empty_count,
        "generator_cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3 / len(latencies),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", default="")
    parser.add_argument("--gap-s", type=float, default=0.1)
    parser.add_argument("--query", default="select 1")
    parser.add_argument("--setup", default="")
    arguments = parser.parse_args()
    urls = sys.stdin.read().split()
    result = measure(
        urls,
        http=arguments.http,
        gap_s=arguments.gap_s,
        query=arguments.query,
        setup=arguments.setup,
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
