"""`insula debug`: looking inside."""

import typer

from cli.errors import FAILED, CommandFailed
from cli.options import DataDir, Output
from cli.output import OutputFormat, show_records, write_line

app = typer.Typer(no_args_is_help=True, help="Look inside a stopped stack.")
_COLUMNS = ("table", "rows", "bytes", "problem_count")


@app.command()
def verify(data_dir: DataDir = None, output: Output = OutputFormat.TABLE) -> None:
    """Check the store of a stopped stack: every page, every row. Exit code 1 if it is damaged."""
    from cli.running_stack import resolve_data_dir
    from cli.store_check import check_store

    path = resolve_data_dir(data_dir)
    records = check_store(path)
    show_records(records, _COLUMNS, output)
    problem_count = sum(record["problem_count"] for record in records)
    if output is OutputFormat.TABLE:
        for record in records:
            for problem in record["problems"]:
                write_line(f"{record['table']}: {problem}")
    if problem_count:
        raise CommandFailed(
            f"the store in {path} is damaged: {problem_count} problems", exit_code=FAILED
        )
