"""`insula top`: which tenants use the KV node now, and who waits."""

import datetime
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from admission.fairness import fairness_index
from cli.options import DataDir, Output
from cli.output import OutputFormat, format_table, show_json, write_line
from cli.running_stack import find_stack
from kvapi.latency import percentile_s

_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"
_WAITING_MIN: Final = 0.1  # requests that wait, on average: who has less gets what it asks for
_HEADERS: Final = (
    "TENANT", "KV SHARE", "SQL CPU", "WEIGHT", "STMT/S", "P50 MS", "P99 MS", "RU/S", "THROTTLED",
    "READS/S", "WRITES/S", "QUEUED", "LOCK WAITS", "WAIT P99 MS", "PROCESSES",
)  # fmt: skip


def top(
    interval_s: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="One JSON line each time.")] = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show who uses the KV node: CPU share, statements, RU, waiting; fairness of it all.

    SQL CPU (in cores), statements, their latency and RU are averages of the last 20 s, as SQL
    processes report them every 10 s. THROTTLED and WAIT P99 are of the interval: 200 % are two
    statements that waited for request units all the time. KV SHARE and rates decay in a few
    seconds. QUEUED waits for the KV node's CPU or disk now. Fairness compares the KV CPU of
    tenants that had to wait for it.
    """
    import sys

    from cli.admin_client import administering

    is_live = sys.stdout.isatty() and not once
    with administering(find_stack(data_dir)) as admin:
        try:
            for view in _views(admin, interval_s):
                if is_json or output is OutputFormat.JSON:
                    show_json(view)
                else:
                    write_line((_HOME_AND_CLEAR if is_live else "") + _text(view))
                if once:
                    return
        except KeyboardInterrupt:
            return


def _views(admin: Any, interval_s: float) -> Iterator[dict[str, Any]]:
    """Yield what there is to see, each time for the interval that has passed."""
    before, since_s = _by_tenant(admin.top()), time.perf_counter()
    while True:
        time.sleep(interval_s)
        found, now_s = admin.top(), time.perf_counter()
        yield view_of(found, before, now_s - since_s)
        before, since_s = _by_tenant(found), now_s


def _by_tenant(found: Any) -> dict[str, Any]:
    return {row.tenant: row for row in found.rows}


def view_of(found: Any, before: Mapping[str, Any], interval_s: float) -> dict[str, Any]:
    """Return the table as plain values, the busiest tenant first.

    `before`: the rows of `interval_s` ago, by tenant.
    """
    total = sum(row.cpu_per_s for row in found.rows)
    rows = [
        _record(row, total, before.get(row.tenant), interval_s)
        for row in sorted(found.rows, key=lambda row: (-row.cpu_per_s, row.tenant))
    ]
    wanting = [row for row in found.rows if _wants_more(row, before.get(row.tenant), interval_s)]
    fairness = fairness_index([row.cpu_per_s for row in wanting], [row.weight for row in wanting])
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    return {
        "time": now.replace("+00:00", "Z"),
        "interval_s": round(interval_s, 1),
        "window_s": found.window_s,
        "cpu_per_s": round(total, 4),
        "cores": found.cores,
        "fairness_index": round(fairness, 4),
        "waiting_tenants": len(wanting),
        "tenants": rows,
    }


def _wants_more(row: Any, before: Any, interval_s: float) -> bool:
    """Tell whether a tenant would have used more if it had got its turns at once."""
    if before is None:
        return False
    waiting = _risen(row.waited_s, before.waited_s) / interval_s
    # What has waited all the time is in no sum yet.
    is_stuck = bool(row.queued + row.writes_queued and before.queued + before.writes_queued)
    return is_stuck or waiting >= _WAITING_MIN


def _risen(now: float, before: float) -> float:
    """Return by how much a counter has risen; after a restart it counts from 0."""
    return now - before if now >= before else now


def _record(row: Any, total: float, before: Any, interval_s: float) -> dict[str, Any]:
    earlier = before.wait_counts if before is not None and before.wait_counts else None
    counts = row.wait_counts
    pairs = zip(counts, earlier or [0] * len(counts), strict=False)
    waits = [int(_risen(now, then)) for now, then in pairs]
    throttled_s = 0.0 if before is None else _risen(row.throttled_s, before.throttled_s)
    return {
        "tenant": row.tenant,
        "share": round(row.cpu_per_s / total, 4) if total > 0 else 0.0,
        "sql_cpu_per_s": round(row.sql_cpu_per_s, 4),
        "weight": row.weight,
        "statements_per_s": round(row.statements_per_s, 2),
        "p50_ms": round(row.statement_p50_s * 1e3, 3),
        "p99_ms": round(row.statement_p99_s * 1e3, 3),
        "ru_per_s": round(row.ru_per_s, 3),
        "throttled": round(throttled_s / interval_s, 4),
        "throttled_s": round(row.throttled_s, 3),
        "kv_reads_per_s": round(row.kv_reads_per_s, 1),
        "kv_writes_per_s": round(row.kv_writes_per_s, 1),
        "queued": row.queued + row.writes_queued,
        "writes_queued": row.writes_queued,
        "lock_waits": row.lock_waits,
        "queue_wait_p99_ms": round(percentile_s(waits, 0.99) * 1e3, 3),
        "processes": row.stream_count,
    }


def _text(view: dict[str, Any]) -> str:
    waiting = view["waiting_tenants"]
    fairness = f"fairness {view['fairness_index']:.3f} among {waiting} that had to wait"
    head = (
        f"{view['time']}  KV CPU {view['cpu_per_s']:.2f} of {view['cores']:g} cores  "
        f"{fairness if waiting > 1 else 'no two tenants had to wait'}\n"
        f"SQL CPU, STMT/S, P50, P99, RU/S: last {view['window_s']:g} s; "
        f"THROTTLED, WAIT P99: last {view['interval_s']:g} s"
    )
    cells = [
        [
            record["tenant"],
            f"{record['share']:.1%}",
            f"{record['sql_cpu_per_s']:.2f}",
            f"{record['weight']:g}",
            f"{record['statements_per_s']:.1f}",
            f"{record['p50_ms']:.2f}",
            f"{record['p99_ms']:.2f}",
            f"{record['ru_per_s']:.1f}",
            f"{record['throttled']:.0%}",
            f"{record['kv_reads_per_s']:.0f}",
            f"{record['kv_writes_per_s']:.0f}",
            str(record["queued"]),
            str(record["lock_waits"]),
            f"{record['queue_wait_p99_ms']:.2f}",
            str(record["processes"]),
        ]
        for record in view["tenants"]
    ]
    return f"{head}\n\n{format_table(list(_HEADERS), cells)}"
