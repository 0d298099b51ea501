"""`insula tenant`: create, list, show, set, drop."""

import sys
from typing import Annotated

import typer

from cli.durations import seconds
from cli.errors import USAGE, CommandFailed
from cli.options import DataDir, Output, Password, PasswordFile, TenantName, User
from cli.output import OutputFormat, show_record, show_records
from cli.running_stack import find_stack

app = typer.Typer(no_args_is_help=True, help="Create, list, show, set and drop tenants.")
_GcTtl = Annotated[
    str | None,
    typer.Option(
        "--gc-ttl",
        "--gc-ttl-s",
        metavar="DURATION",
        help="How long old versions are kept for AS OF SYSTEM TIME: 90s, 15m, 2h; bare: seconds.",
    ),
]
_COLUMNS = ("name", "id", "users", "suspended", "live_bytes", "key_count", "created")


@app.command()
def create(
    name: TenantName,
    user: Annotated[str, typer.Option(help="The tenant's first user; owns `defaultdb`.")],
    password: Password = None,
    password_file: PasswordFile = None,
    gc_ttl: _GcTtl = None,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Create a tenant with one user, who owns its database `defaultdb`."""
    from cli.admin_client import administering
    from cli.connection_url import connection_url
    from cli.passwords import make_verifier, read_password

    gc_ttl_s = None if gc_ttl is None else seconds(gc_ttl)
    stack = find_stack(data_dir)
    verifier = make_verifier(read_password(password, password_file, who=f"{name}.{user}"))
    with administering(stack) as admin:
        tenant = admin.create(name, user=user, verifier=verifier, gc_ttl_s=gc_ttl_s)
    show_record({**tenant, "url": connection_url(stack, name, user=user)}, output)


@app.command("list")
def list_tenants(data_dir: DataDir = None, output: Output = OutputFormat.TABLE) -> None:
    """List all tenants."""
    from cli.admin_client import administering

    with administering(find_stack(data_dir)) as admin:
        show_records(admin.list(), _COLUMNS, output)


@app.command()
def show(name: TenantName, data_dir: DataDir = None, output: Output = OutputFormat.TABLE) -> None:
    """Show everything about one tenant."""
    from cli.admin_client import administering

    with administering(find_stack(data_dir)) as admin:
        show_record(admin.get(name), output)


@app.command("set")
def set_tenant(
    name: TenantName,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="SETTING=VALUE", help="gc_ttl=2h, weight=4.")
    ] = None,
    suspended: Annotated[
        bool | None,
        typer.Option("--suspend/--resume", help="End its processes and refuse it, or let it in."),
    ] = None,
    gc_ttl: _GcTtl = None,
    user: User = None,
    password: Password = None,
    password_file: PasswordFile = None,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Change a tenant: suspend or resume it, its history's age, its weight, or a password."""
    from cli.admin_client import administering
    from cli.passwords import make_verifier, read_password

    if user is None and (password is not None or password_file is not None):
        raise CommandFailed("a password needs its user", exit_code=USAGE, hint="give --user")
    given = _read_settings(settings or [], gc_ttl)
    if suspended is None and not given and user is None:
        raise CommandFailed(
            "nothing to set", exit_code=USAGE, hint="see `insula tenant set --help`"
        )
    with administering(find_stack(data_dir)) as admin:
        if user is not None:
            text = read_password(password, password_file, who=f"{name}.{user}")
            admin.set_password(name, user=user, verifier=make_verifier(text))
        if suspended is not None or given:
            admin.set(name, is_suspended=suspended, **given)
        show_record(admin.get(name), output)


def _read_settings(settings: list[str], gc_ttl: str | None) -> dict[str, float]:
    """Return what `gc_ttl=…`, `weight=…` and --gc-ttl say. Raises: CommandFailed."""
    texts = list(settings) if gc_ttl is None else [*settings, f"gc_ttl={gc_ttl}"]
    given: dict[str, float] = {}
    for setting in texts:
        key, mark, value = setting.partition("=")
        name = key.replace("-", "_").removesuffix("_s")
        if name not in ("gc_ttl", "weight") or not mark:
            hint = "a setting is gc_ttl=DURATION or weight=1..100"
            raise CommandFailed(f"{setting!r} sets nothing", exit_code=USAGE, hint=hint)
        key = "gc_ttl_s" if name == "gc_ttl" else name
        if key in given:
            raise CommandFailed(f"{name} is given more than once", exit_code=USAGE)
        given[key] = seconds(value) if name == "gc_ttl" else _weight(value)
    return given


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        hint = "a weight is a number from 1 to 100"
        raise CommandFailed(f"{text!r} is no weight", exit_code=USAGE, hint=hint) from None


@app.command()
def drop(
    name: TenantName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Remove a tenant and every byte of it."""
    from cli.admin_client import administering

    stack = find_stack(data_dir)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Remove tenant {name!r} with all its data?", abort=True)
    with administering(stack) as admin:
        removed = admin.drop(name)
    show_record({"name": name, "keys_removed": removed}, output)
