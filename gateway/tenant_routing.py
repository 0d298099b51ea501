"""Which tenant a client means, read from its start-up parameters. Pure.

**Model.** Four places may name the tenant, so that strings pasted from elsewhere work: `options`
(`--tenant=acme`, `--cluster=acme`, `endpoint=acme`, `-c tenant=acme`), the database
(`acme.defaultdb`), the user (`acme.app`). All that do must agree. What is left of `options`
becomes ordinary parameters.

Source: libpq docs, "options"; PostgreSQL docs, "postgres" (switches); CockroachDB's and Neon's
routing conventions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pgwire.errors import (
    ConnectionRejected,
    FeatureNotSupported,
    ProtocolViolation,
    SqlSyntaxError,
)
from pgwire.startup import split_options

_OPTION_NAMES: Final = frozenset({"tenant", "cluster", "endpoint"})
_NOT_PARAMETERS: Final = frozenset({"user", "database", "options", "replication"})
_NO_REPLICATION: Final = frozenset({"", "false", "off", "no", "0"})
DEFAULT_DATABASE: Final = "defaultdb"
HOW_TO_SAY: Final = (
    "Name the tenant in one of these ways: options=--tenant=NAME in the connection string (or "
    "PGOPTIONS=--tenant=NAME), the database as NAME.defaultdb, or the user as NAME.USER."
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a session goes and what it starts with. `method` says which place named the tenant."""

    tenant: str
    user: str
    database: str
    parameters: Mapping[str, str]
    method: str


def resolve_route(start_up: Mapping[str, str], *, default_tenant: str = "") -> Route:
    """Read the route from the start-up parameters.

    Raises: ConnectionRejected (no tenant, or several), ProtocolViolation (no user), SqlSyntaxError,
    FeatureNotSupported (replication).

    >>> resolve_route({"user": "app", "database": "acme.shop"}).tenant
    'acme'
    """
    user = start_up.get("user", "")
    if not user:
        raise ProtocolViolation(
            "no PostgreSQL user name specified in startup packet", severity="FATAL"
        )
    if start_up.get("replication", "").lower() not in _NO_REPLICATION:
        raise FeatureNotSupported("replication connections are not supported", severity="FATAL")
    database = start_up.get("database", "")
    named: dict[str, str] = {}
    parameters = {n: v for n, v in start_up.items() if n not in _NOT_PARAMETERS}
    for name, value in parse_options(start_up.get("options", "")):
        if name in _OPTION_NAMES:
            _name(named, f"options ({name})", value)
        else:
            parameters[name] = value
    # A client that gives no database sends the user's name in its place (libpq does).
    is_defaulted = not database or database == user
    user_tenant, user = _split(user)
    database_tenant, database = ("", "") if is_defaulted else _split(database)
    _name(named, "database", database_tenant)
    _name(named, "user", user_tenant)
    if len(set(named.values())) > 1:
        raise _conflict(named)
    method, tenant = next(iter(named.items()), ("default", default_tenant))
    if not tenant:
        raise ConnectionRejected("the connection does not name a tenant", hint=HOW_TO_SAY)
    return Route(tenant, user, database or DEFAULT_DATABASE, parameters, method)


def parse_options(text: str) -> Iterator[tuple[str, str]]:
    r"""Take the `options` parameter apart into names and values.

    Words are separated by blanks; a backslash takes the next character as it is. Raises:
    SqlSyntaxError.

    >>> list(parse_options("--tenant=acme -c work_mem=64MB -cDateStyle=ISO,\\ MDY endpoint=x"))
    [('tenant', 'acme'), ('work_mem', '64MB'), ('DateStyle', 'ISO, MDY'), ('endpoint', 'x')]
    """
    words = iter(split_options(text))
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            setting = f"{name.replace('-', '_')}{equals}{value}"
        elif word.startswith("-c"):
            setting = word[2:]
        else:
            setting = word if word.partition("=")[0] in _OPTION_NAMES else ""
        name, equals, value = setting.partition("=")
        if not name or not equals:
            raise SqlSyntaxError(
                f"invalid command-line argument for server process: {word}",
                hint="Known are -c NAME=VALUE, --NAME=VALUE and --tenant=NAME.",
                severity="FATAL",
            )
        yield name, value


def _split(name: str) -> tuple[str, str]:
    """Split `tenant.name`; a name with nothing before or after its dot names no tenant."""
    tenant, _, rest = name.partition(".")
    return (tenant, rest) if tenant and rest else ("", name)


def _name(named: dict[str, str], place: str, tenant: str) -> None:
    if tenant:
        named[place] = tenant


def _conflict(named: Mapping[str, str]) -> ConnectionRejected:
    answers = ", ".join(f"{place} says {tenant!r}" for place, tenant in named.items())
    return ConnectionRejected(
        "the connection names more than one tenant",
        detail=f"{answers}.".capitalize(),
        hint=HOW_TO_SAY,
    )
