"""`insula top`: which tenants use the KV node now, and who waits."""

import datetime
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from admission.fairness import fairness_index
from cli.options import DataDir, Output
from cli.output import OutputFormat, format_table, show_json, write_line
from cli.running_stack import find_stack
from kvapi.latency import percentile_s

_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"
_ACTIVE_PER_S: Final = 0.01  # CPU seconds: who uses less is not compared
_HEADERS: Final = (
    "TENANT", "SHARE", "WEIGHT", "STMT/S", "P50 MS", "P99 MS", "RU/S", "THROTTLED S",
    "READS/S", "WRITES/S", "QUEUED", "WAIT P99 MS", "PROCESSES",
)  # fmt: skip


def top(
    interval_s: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="One JSON line each time.")] = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show who uses the KV node: CPU share, statements, RU, waiting; fairness of it all.

    Statements, their latency and RU are those that SQL processes reported in the last 20 s.
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
    before = {row.tenant: row.wait_counts for row in admin.top().rows}
    while True:
        time.sleep(interval_s)
        found = admin.top()
        yield view_of(found, before)
        before = {row.tenant: row.wait_counts for row in found.rows}


def view_of(found: Any, waits_before: dict[str, Sequence[int]]) -> dict[str, Any]:
    """Return the table as plain values, the busiest tenant first."""
    total = sum(row.cpu_per_s for row in found.rows)
    rows = [
        _record(row, total, waits_before.get(row.tenant, ()))
        for row in sorted(found.rows, key=lambda row: (-row.cpu_per_s, row.tenant))
    ]
    active = [row for row in found.rows if row.cpu_per_s >= _ACTIVE_PER_S]
    fairness = fairness_index([row.cpu_per_s for row in active], [row.weight for row in active])
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    return {
        "time": now.replace("+00:00", "Z"),
        "cpu_per_s": round(total, 4),
        "cores": found.cores,
        "fairness_index": round(fairness, 4),
        "active": len(active),
        "tenants": rows,
    }


def _record(row: Any, total: float, before: Sequence[int]) -> dict[str, Any]:
    earlier = before or [0] * len(row.wait_counts)
    waits = [now - then for now, then in zip(row.wait_counts, earlier, strict=False)]
    return {
        "tenant": row.tenant,
        "share": round(row.cpu_per_s / total, 4) if total > 0 else 0.0,
        "weight": row.weight,
        "statements_per_s": round(row.statements_per_s, 2),
        "p50_ms": round(row.statement_p50_s * 1e3, 3),
        "p99_ms": round(row.statement_p99_s * 1e3, 3),
        "ru_per_s": round(row.ru_per_s, 3),
        "throttled_s": round(row.throttled_s, 3),
        "kv_reads_per_s": round(row.kv_reads_per_s, 1),
        "kv_writes_per_s": round(row.kv_writes_per_s, 1),
        "queued": row.queued,
        "queue_wait_p99_ms": round(percentile_s(waits, 0.99) * 1e3, 3),
        "processes": row.stream_count,
    }


def _text(view: dict[str, Any]) -> str:
    head = (
        f"{view['time']}  CPU {view['cpu_per_s']:.2f} of {view['cores']:g} cores  "
        f"fairness {view['fairness_index']:.3f} among {view['active']} active"
    )
    cells = [
        [
            record["tenant"],
            f"{record['share']:.1%}",
            f"{record['weight']:g}",
            f"{record['statements_per_s']:.1f}",
            f"{record['p50_ms']:.2f}",
            f"{record['p99_ms']:.2f}",
            f"{record['ru_per_s']:.1f}",
            f"{record['throttled_s']:.1f}",
            f"{record['kv_reads_per_s']:.0f}",
            f"{record['kv_writes_per_s']:.0f}",
            str(record["queued"]),
            f"{record['queue_wait_p99_ms']:.2f}",
            str(record["processes"]),
        ]
        for record in view["tenants"]
    ]
    return f"{head}\n\n{format_table(list(_HEADERS), cells)}"
