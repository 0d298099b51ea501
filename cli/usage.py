"""`insula usage`: what a tenant is billed, by day or by statement."""

import enum
from typing import Annotated, Any, Final

import typer

from cli.options import DataDir, Output, TenantName
from cli.output import OutputFormat, show_records
from cli.running_stack import find_stack

_MICRO: Final = 1_000_000
_TEXT_CHARS: Final = 80  # of a statement in a table


class By(enum.StrEnum):
    """What a row stands for."""

    DAY = "day"
    STATEMENT = "statement"


_COLUMNS: Final = {
    By.DAY: ("day", "ru", "calls", "reads", "writes", "egress_bytes", "sql_cpu_s", "free_ru"),
    By.STATEMENT: ("ru", "calls", "rows", "mean_ms", "query"),
}


def usage(
    name: TenantName,
    by: Annotated[By, typer.Option(help="Rows: days, or kinds of statements.")] = By.DAY,
    days: Annotated[
        int, typer.Option(min=1, help="How many days back from today (UTC); statements: 32.")
    ] = 1,
    is_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Print what a tenant's statements cost, in request units (RU)."""
    from cli.admin_client import administering

    form = OutputFormat.JSON if is_json else output
    with administering(find_stack(data_dir)) as admin:
        rows = admin.usage(name, day_count=days, by_statement=by is By.STATEMENT)
    make = _statement if by is By.STATEMENT else _day
    show_records([make(row, form) for row in rows], _COLUMNS[by], form)


def _ru(micro_ru: int, form: OutputFormat) -> Any:
    """Return RU exactly for programs, with three digits for people."""
    return micro_ru / _MICRO if form is OutputFormat.JSON else f"{micro_ru / _MICRO:.3f}"


def _day(row: Any, form: OutputFormat) -> dict[str, Any]:
    used = dict(row.used)
    record: dict[str, Any] = {
        "day": row.day,
        "ru": _ru(row.micro_ru, form),
        "micro_ru": row.micro_ru,
        "calls": row.calls,
        "reads": int(used.get("read_requests", 0)),
        "writes": int(used.get("write_requests", 0)),
        "egress_bytes": int(used.get("egress_bytes", 0)),
        "sql_cpu_s": round(used.get("sql_cpu_s", 0.0), 3),
        "free_ru": _ru(row.free_micro_ru, form),
    }
    if form is OutputFormat.JSON:
        record["used"] = used
    return record


def _statement(row: Any, form: OutputFormat) -> dict[str, Any]:
    mean_ms = row.exec_us / 1e3 / row.calls if row.calls else 0.0
    text = row.text
    if form is OutputFormat.TABLE:
        text = " ".join(text.split())
        text = text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"
    return {
        "ru": _ru(row.micro_ru, form),
        "micro_ru": row.micro_ru,
        "calls": row.calls,
        "rows": row.row_count,
        "mean_ms": round(mean_ms, 3),
        "query_id": row.query_id,
        "query": text,
    }
