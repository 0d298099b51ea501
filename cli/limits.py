"""`insula limits`: what a tenant may use, in request units."""

from typing import Annotated, Any

import typer

from cli.errors import USAGE, CommandFailed
from cli.options import DataDir, Output, TenantName
from cli.output import OutputFormat, show_record
from cli.running_stack import find_stack

app = typer.Typer(no_args_is_help=True, help="See and change what tenants may use.")
_NONE = "none"
_Json = Annotated[bool, typer.Option("--json", help="The same as `-o json`.")]


def _option(flag: str, what: str) -> Any:
    return typer.Option(flag, metavar="NUMBER|none", help=what)


@app.command("get")
def get_limits(
    name: TenantName,
    as_json: _Json = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show a tenant's limits, and how it stands with them."""
    from cli.admin_client import administering

    with administering(find_stack(data_dir)) as admin:
        show_record(admin.get_limits(name), OutputFormat.JSON if as_json else output)


@app.command("set")
def set_limits(
    name: TenantName,
    all_of_them: Annotated[
        str | None, typer.Argument(metavar="[none]", help="Remove all limits.")
    ] = None,
    rate: Annotated[str | None, _option("--rate", "Request units per second.")] = None,
    burst: Annotated[
        str | None, _option("--burst", "Saved up while unused; else 10 s of the rate.")
    ] = None,
    month: Annotated[
        str | None, _option("--month", "Request units in a calendar month (UTC).")
    ] = None,
    as_json: _Json = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Change a tenant's limits, at once and also where it is running; `none` removes one."""
    from cli.admin_client import administering

    given = {"rate_ru_per_s": rate, "burst_ru_max": burst, "month_ru_max": month}
    limits = {key: _number(text) for key, text in given.items() if text is not None}
    if all_of_them not in (None, _NONE) or (all_of_them and limits):
        raise CommandFailed("after the tenant comes `none`, or options", exit_code=USAGE)
    if all_of_them:
        limits = {"rate_ru_per_s": 0.0, "month_ru_max": 0.0}
    if not limits:
        raise CommandFailed(
            "nothing to set", exit_code=USAGE, hint="see `insula limits set --help`"
        )
    with administering(find_stack(data_dir)) as admin:
        show_record(admin.set_limits(name, **limits), OutputFormat.JSON if as_json else output)


def _number(text: str) -> float:
    """Return a limit; none is 0 on the wire. Raises: CommandFailed."""
    if text.lower() == _NONE:
        return 0.0
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise CommandFailed(f"{text!r} is no limit", exit_code=USAGE, hint="a number, or none")
    return number
