"""`insula sql`: statements from options, a pipe or a prompt; results like psql's, or as JSON."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.pq import ExecStatus

from cli.errors import FAILED, NOT_READY, CommandFailed
from cli.output import OutputFormat, show_json, write_line
from cli.running_stack import RunningStack
from cli.statement_splitter import is_blank, split_statements

_NUMBERS: Final = frozenset({20, 21, 23, 26, 700, 701, 790, 1700})  # right-aligned types, by oid
_JSON_NUMBERS: Final = frozenset({20, 21, 23, 26})
_BOOL: Final = 16
_CONNECT_S_MAX: Final = 15


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """Who runs SQL, where, and how results look."""

    tenant: str
    user: str
    database: str
    output: OutputFormat


@dataclass(frozen=True, slots=True)
class ResultSet:
    """One result: texts as the server sent them, None for NULL. No columns: a command."""

    columns: tuple[str, ...]
    type_oids: tuple[int, ...]
    rows: tuple[tuple[str | None, ...], ...]
    status: str


def run_shell(stack: RunningStack, options: ShellOptions, statements: Sequence[str]) -> int:
    """Run `statements`, else standard input; return the exit code."""
    with _connect(stack, options) as connection:
        connection.add_notice_handler(
            lambda notice: _complain(f"{notice.severity}:  {notice.message_primary}")
        )
        if statements:
            return _run_all(connection, statements, options.output)
        if sys.stdin.isatty():
            return _prompt(connection, options)
        whole, rest = split_statements(sys.stdin.read())
        return _run_all(connection, [*whole, *([] if is_blank(rest) else [rest])], options.output)


def _connect(stack: RunningStack, options: ShellOptions) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(
            host=str(stack.run_dir),
            port=stack.pg_port,
            user=options.user,
            dbname=options.database,
            options=f"--tenant={options.tenant}",
            application_name="insula sql",
            connect_timeout=_CONNECT_S_MAX,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        code = NOT_READY if "No such file" in str(error) or "refused" in str(error) else FAILED
        raise CommandFailed(str(error).strip(), exit_code=code) from error


def _run_all(
    connection: psycopg.Connection[Any], statements: Iterable[str], form: OutputFormat
) -> int:
    for statement in statements:
        if not _run(connection, statement, form):
            return FAILED
    return 0


def _run(connection: psycopg.Connection[Any], statement: str, form: OutputFormat) -> bool:
    try:
        results = _execute(connection, statement)
    except psycopg.Error as error:
        _complain(_error_text(error))
        return False
    for result in results:
        if form is OutputFormat.JSON:
            show_json(to_json(result))
        else:
            write_line(format_result(result))
    return True


def _execute(connection: psycopg.Connection[Any], statement: str) -> list[ResultSet]:
    cursor = connection.cursor()
    cursor.execute(statement.encode())  # no parameters: the simple protocol, text results
    results = [_result_set(cursor.pgresult)]
    while cursor.nextset():
        results.append(_result_set(cursor.pgresult))
    return results


def _result_set(result: Any) -> ResultSet:
    status = (result.command_status or b"").decode()
    if result.status != ExecStatus.TUPLES_OK:
        return ResultSet((), (), (), status)
    names = tuple((result.fname(i) or b"").decode() for i in range(result.nfields))
    oids = tuple(result.ftype(i) for i in range(result.nfields))
    rows = tuple(
        tuple(_text(result.get_value(row, i)) for i in range(result.nfields))
        for row in range(result.ntuples)
    )
    return ResultSet(names, oids, rows, status)


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()


def to_json(result: ResultSet) -> dict[str, Any]:
    """Return a result as JSON values: integers and booleans as such, everything else as text."""
    rows = [
        [_json_value(text, oid) for text, oid in zip(row, result.type_oids, strict=True)]
        for row in result.rows
    ]
    return {"columns": list(result.columns), "rows": rows, "status": result.status}


def _json_value(text: str | None, oid: int) -> Any:
    if text is None:
        return None
    if oid in _JSON_NUMBERS:
        return int(text)
    return text == "t" if oid == _BOOL else text


def format_result(result: ResultSet) -> str:
    """Return a result as psql prints it."""
    if not result.type_oids and not result.rows:
        return result.status
    cells = [["" if text is None else text for text in row] for row in result.rows]
    widths = [
        max([len(name), *(_width(row[i]) for row in cells)])
        for i, name in enumerate(result.columns)
    ]
    lines = ["|".join(f" {n.center(w)} " for n, w in zip(result.columns, widths, strict=True))]
    lines.append("+".join("-" * (width + 2) for width in widths))
    for row in cells:
        aligned = (
            cell.rjust(width) if oid in _NUMBERS else cell.ljust(width)
            for cell, width, oid in zip(row, widths, result.type_oids, strict=True)
        )
        lines.append("|".join(f" {cell} " for cell in aligned).rstrip())
    lines.append(f"({len(cells)} row{'' if len(cells) == 1 else 's'})")
    return "\n".join(lines)


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _error_text(error: psycopg.Error) -> str:
    diagnostic = error.diag
    if diagnostic.message_primary is None:
        return f"ERROR:  {str(error).strip()}"
    lines = [f"{diagnostic.severity}:  {diagnostic.sqlstate}: {diagnostic.message_primary}"]
    for label, text in (
        ("DETAIL", diagnostic.message_detail),
        ("HINT", diagnostic.message_hint),
    ):
        if text:
            lines.append(f"{label}:  {text}")
    return "\n".join(lines)


def _prompt(connection: psycopg.Connection[Any], options: ShellOptions) -> int:
    import readline  # noqa: F401 - gives input() line editing and history

    write_line(
        f"Connected to {options.tenant} as {options.user}. A statement ends with ; — \\q quits."
    )
    pending = ""
    while True:
        try:
            line = input(f"{options.tenant}{'-' if pending else '='}> ")
        except EOFError:
            write_line("")
            return 0
        except KeyboardInterrupt:
            write_line("")
            pending = ""
            continue
        if not pending and line.strip() in ("\\q", "exit", "quit"):
            return 0
        statements, rest = split_statements(f"{pending}{line}\n")
        for statement in statements:
            _run(connection, statement, options.output)
            if connection.closed:
                return FAILED
        pending = "" if is_blank(rest) else rest


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
