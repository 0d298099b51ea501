"""What commands print: tables for people, JSON for programs."""

import enum
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


class OutputFormat(enum.StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    JSON = "json"


def show_records(
    records: Sequence[Mapping[str, Any]], columns: Sequence[str], form: OutputFormat
) -> None:
    """Print records: the named columns as a table, or everything as a JSON list."""
    if form is OutputFormat.JSON:
        show_json(list(records))
        return
    cells = [[_cell(record.get(name)) for name in columns] for record in records]
    write_line(format_table([name.upper() for name in columns], cells))


def show_record(record: Mapping[str, Any], form: OutputFormat) -> None:
    """Print one record: a line for each field, or a JSON object."""
    if form is OutputFormat.JSON:
        show_json(record)
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        write_line(f"{name:<{width}}  {_cell(value)}")


def show_json(value: Any) -> None:
    """Print one JSON document on one line."""
    write_line(json.dumps(value, default=str, ensure_ascii=False))


def write_line(text: str) -> None:
    """Print a line on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def format_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with two blanks between them.

    >>> print(format_table(["NAME", "KEYS"], [["acme", "12"]]))
    NAME  KEYS
    acme  12
    """
    lines = [list(headers), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)
