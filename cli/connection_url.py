"""Connection strings for a tenant."""

from typing import Any
from urllib.parse import quote

from cli.errors import USAGE, CommandFailed
from cli.running_stack import RunningStack


def connection_url(stack: RunningStack, tenant: str, *, user: str, password: str = "") -> str:
    """Return the URI that libpq and most drivers understand."""
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = f"[{stack.pg_host}]" if ":" in stack.pg_host else stack.pg_host
    options = quote(f"--tenant={tenant}", safe="-")
    return f"postgresql://{who}@{host}:{stack.pg_port}/defaultdb?options={options}"


def choose_user(tenant: dict[str, Any], given: str | None) -> str:
    """Return the user to connect as: as given, or the only one. Raises: CommandFailed (2)."""
    if given is not None:
        return given
    users: list[str] = tenant["users"]
    if len(users) != 1:
        raise CommandFailed(
            f"tenant {tenant['name']!r} has {len(users)} users",
            exit_code=USAGE,
            hint=f"choose one with --user: {', '.join(users)}",
        )
    return users[0]
