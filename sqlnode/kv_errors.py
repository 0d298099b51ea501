"""The only place where a KV error becomes a SQL error.

A class marked retryable in kvapi/errors.py becomes 40001 unless SQL has a name for it: the client
may run the whole transaction again.
"""

from collections.abc import Mapping
from typing import Final

from kvapi import errors as kv
from kvapi.hlc import wall_us
from kvapi.layout import parse_index_prefix
from pgwire import errors as sql
from pgwire import oids
from pgwire.codecs.registry import text_out
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.errors import SqlError
from sqlnode.catalog.snapshot import Catalog
from sqlnode.past_time import POSTGRES_EPOCH_US
from sqlnode.rowexec.constraint_errors import duplicate_key

# A test asserts that this names every KvError. The text is the message; {0} is the KV node's own.
FROM_KV: Final[Mapping[type[kv.KvError], tuple[type[SqlError], str]]] = {
    kv.InternalError: (sql.InternalError, "internal error of the KV node: {0}"),
    kv.WriteConflict: (
        sql.SerializationFailure,
        "could not serialize access due to concurrent update",
    ),
    kv.SchemaChanged: (
        sql.SerializationFailure,
        "could not serialize access due to a concurrent schema change",
    ),
    kv.LockTimeout: (sql.LockNotAvailable, "canceling statement due to lock timeout"),
    kv.LockNotAvailable: (sql.LockNotAvailable, "could not obtain lock on row"),
    kv.Deadlock: (sql.DeadlockDetected, "deadlock detected"),
    kv.KeyExists: (sql.UniqueViolation, "duplicate key value violates unique constraint"),
    kv.KeyTooLong: (sql.ProgramLimitExceeded, "index row size exceeds the maximum"),
    kv.RequestTooLarge: (sql.ProgramLimitExceeded, "request too large: {0}"),
    kv.TenantSuspended: (sql.OperatorIntervention, "the tenant is suspended"),
    kv.TenantUnknown: (sql.DatabaseDropped, "the tenant does not exist"),
    kv.CredentialRefused: (
        sql.InvalidAuthorizationSpecification,
        "the KV node refused the credential: {0}",
    ),
    kv.Throttled: (sql.InsufficientResources, "{0}"),
    kv.NotLeaseholder: (sql.SerializationFailure, "the data has moved to another KV node"),
    kv.SpansNodes: (sql.FeatureNotSupported, "{0} is not supported"),
    kv.SnapshotTooOld: (sql.SnapshotTooOld, "snapshot too old"),
    kv.DiskFull: (sql.DiskFull, "could not extend the store: no space left on device"),
    kv.Cancelled: (sql.QueryCanceled, "canceling statement due to user request"),
    kv.BadRequest: (sql.InternalError, "the KV node refused a request: {0}"),
    kv.CounterExhausted: (
        sql.SequenceGeneratorLimitExceeded,
        "nextval: reached the bound of the sequence",
    ),
    kv.ShuttingDown: (sql.SerializationFailure, "the KV node is shutting down"),
    kv.ConnectionLost: (sql.SerializationFailure, "the connection to the KV node was lost"),
    kv.CommitAmbiguous: (
        sql.StatementCompletionUnknown,
        "the connection to the KV node was lost, and whether the transaction was committed is "
        "not known",
    ),
    kv.Unavailable: (sql.ConnectionFailure, "the KV node cannot be reached"),
}
_SERIALIZE: Final = "could not serialize"  # how PostgreSQL's own messages begin
_HINTS: Final[Mapping[type[SqlError], str]] = {
    sql.SerializationFailure: "The transaction might succeed if retried.",
    sql.SnapshotTooOld: "History is kept for gc_ttl, which the operator sets for each tenant.",
    sql.DeadlockDetected: "See server log for query details.",
    sql.StatementCompletionUnknown: "Check whether its changes are there before running it again.",
}


def sql_error(
    error: kv.KvError, catalog: Catalog | None = None, settings: Settings = DEFAULT_SETTINGS
) -> SqlError:
    """Return the SQL error for a KV error; with a catalog keys become names."""
    sql_class, text = FROM_KV.get(type(error), FROM_KV[kv.InternalError])
    if isinstance(error, kv.KeyExists) and catalog is not None:
        return duplicate_key(error.key, catalog, settings)
    if isinstance(error, kv.KeyTooLong):
        text += f" {error.number} bytes" if error.number else ""
    if isinstance(error, kv.LockNotAvailable) and catalog is not None:
        text += _in_relation(error.key, catalog)
    detail = error.detail
    if isinstance(error, kv.WriteConflict):
        detail = _why_not_serializable(error, catalog)
        if error.message.startswith(_SERIALIZE):
            text = "{0}"  # PostgreSQL tells updates and deletes apart
    if isinstance(error, kv.SnapshotTooOld) and error.number:
        detail = f"The oldest readable time is {_time_text(error.number, settings)}."
    if isinstance(error, kv.Throttled):
        return _throttled(error)
    message = text.format(error.message)
    return sql_class(message, detail=detail or None, hint=_HINTS.get(sql_class))


def _throttled(error: kv.Throttled) -> SqlError:
    """Return an error that says what there is too much of, and when to try again."""
    unit = "second" if error.number == 1000 else "seconds"
    when = f"in {error.number / 1e3:g} {unit}" if error.number else "later"
    return sql.InsufficientResources(
        error.message or "too many requests outstanding", hint=f"Try again {when}."
    )


def _why_not_serializable(error: kv.WriteConflict, catalog: Catalog | None) -> str:
    """Return a detail: what the transaction lost, where it is known, or else what changed."""
    if error.detail:
        return _sentence(error.detail)
    if error.message and not error.message.startswith(_SERIALIZE):
        return _sentence(error.message)
    found = parse_index_prefix(error.key)
    if found is None or catalog is None:
        return ""
    table = next((t for t in catalog.tables() if t.key_id == found[0]), None)
    if table is None:
        return "What it has read was changed by another transaction."
    index = next((i for i in table.indexes if i.index_id == found[1]), None)
    where = f'table "{table.name}"' if index is None else f'index "{index.name}"'
    return f"What it has read in {where} was changed by another transaction."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _time_text(ts: int, settings: Settings) -> str:
    # One microsecond more: a time as text stands for the first timestamp of its microsecond.
    return text_out(oids.TIMESTAMPTZ)(wall_us(ts) + 1 - POSTGRES_EPOCH_US, settings)


def _in_relation(key: bytes, catalog: Catalog) -> str:
    found = parse_index_prefix(key)
    if found is None:
        return ""
    table = next((t for t in catalog.tables() if t.key_id == found[0]), None)
    return "" if table is None else f' in relation "{table.name}"'
