"""What a client hears when the pool cannot serve it."""

from gateway.pool import REASON_STOPPING, REASON_TENANT_FULL
from pgwire.errors import AdminShutdown, CannotConnectNow, TooManyConnections
from pgwire.sql_error import SqlError


def refusal(reason: str) -> SqlError:
    """Return the error for one of the pool's reasons."""
    if reason == REASON_STOPPING:
        return AdminShutdown("the database system is shutting down", sqlstate="57P03")
    if reason == REASON_TENANT_FULL:
        return TooManyConnections("sorry, too many clients already")
    return CannotConnectNow(
        "no SQL process became free in time", hint="The pool is being filled; try again."
    )
