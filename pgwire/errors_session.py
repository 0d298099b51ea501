"""Errors about connections, transactions, roles and resources (all the other classes)."""

from pgwire.sql_error import SqlError


class ConnectionException(SqlError):
    """The connection is in trouble in a way that has no code of its own."""

    sqlstate = "08000"


class ConnectionRejected(SqlError):
    """The server does not accept this connection."""

    sqlstate = "08004"
    severity = "FATAL"


class ConnectionFailure(SqlError):
    """The connection broke."""

    sqlstate = "08006"


class ProtocolViolation(SqlError):
    """Bytes that the protocol does not allow here."""

    sqlstate = "08P01"


class InvalidTransactionState(SqlError):
    """The transaction is in a state that forbids this."""

    sqlstate = "25000"


class ActiveSqlTransaction(SqlError):
    """Not allowed inside a transaction block."""

    sqlstate = "25001"


class ReadOnlySqlTransaction(SqlError):
    """A write in a read-only transaction."""

    sqlstate = "25006"


class SnapshotTooOld(SqlError):
    """What the snapshot saw is garbage already."""

    sqlstate = "72000"


class NoActiveSqlTransaction(SqlError):
    """Only allowed inside a transaction block."""

    sqlstate = "25P01"


class InFailedSqlTransaction(SqlError):
    """The transaction block has failed; only its end is accepted."""

    sqlstate = "25P02"


class IdleInTransactionSessionTimeout(SqlError):
    """The session sat in a transaction block for too long."""

    sqlstate = "25P03"
    severity = "FATAL"


class InvalidSqlStatementName(SqlError):
    """A prepared statement that does not exist."""

    sqlstate = "26000"


class InvalidAuthorizationSpecification(SqlError):
    """A role that may not connect here."""

    sqlstate = "28000"
    severity = "FATAL"


class InvalidPassword(SqlError):
    """The password is wrong, or the role does not exist."""

    sqlstate = "28P01"
    severity = "FATAL"


class InvalidTransactionTermination(SqlError):
    """A COMMIT or ROLLBACK where none may be."""

    sqlstate = "2D000"


class SavepointException(SqlError):
    """A savepoint is in a state that forbids this."""

    sqlstate = "3B000"


class InvalidSavepointSpecification(SqlError):
    """A savepoint that does not exist."""

    sqlstate = "3B001"


class InvalidCursorName(SqlError):
    """A cursor or portal that does not exist."""

    sqlstate = "34000"


class InvalidCursorState(SqlError):
    """A cursor or portal in a state that forbids this."""

    sqlstate = "24000"


class TransactionRollback(SqlError):
    """The transaction was rolled back."""

    sqlstate = "40000"


class SerializationFailure(SqlError):
    """A concurrent transaction won; run the whole transaction again."""

    sqlstate = "40001"
    retryable = True


class StatementCompletionUnknown(SqlError):
    """The commit may or may not have happened; never retry blindly."""

    sqlstate = "40003"


class DeadlockDetected(SqlError):
    """Transactions wait for each other; this one gave way."""

    sqlstate = "40P01"
    retryable = True


class WithCheckOptionViolation(SqlError):
    """A row that the view it was written through does not show."""

    sqlstate = "44000"


class InsufficientResources(SqlError):
    """Not enough of some resource."""

    sqlstate = "53000"


class DiskFull(SqlError):
    """The store has no room for more."""

    sqlstate = "53100"


class OutOfMemory(SqlError):
    """The statement needs more memory than it may have."""

    sqlstate = "53200"


class TooManyConnections(SqlError):
    """The limit of connections is reached."""

    sqlstate = "53300"
    severity = "FATAL"


class ConfigurationLimitExceeded(SqlError):
    """A configured limit is reached."""

    sqlstate = "53400"


class ObjectNotInPrerequisiteState(SqlError):
    """An object is not ready for this."""

    sqlstate = "55000"


class ObjectInUse(SqlError):
    """An object is in use."""

    sqlstate = "55006"


class CantChangeRuntimeParam(SqlError):
    """A setting that cannot be changed now."""

    sqlstate = "55P02"


class LockNotAvailable(SqlError):
    """A lock could not be had in time."""

    sqlstate = "55P03"


class OperatorIntervention(SqlError):
    """An operator stepped in."""

    sqlstate = "57000"


class QueryCanceled(SqlError):
    """The statement was cancelled or ran into its timeout."""

    sqlstate = "57014"


class AdminShutdown(SqlError):
    """The server ends this connection."""

    sqlstate = "57P01"
    severity = "FATAL"


class CrashShutdown(SqlError):
    """The server crashed."""

    sqlstate = "57P02"
    severity = "FATAL"


class CannotConnectNow(SqlError):
    """The server is starting or stopping."""

    sqlstate = "57P03"
    severity = "FATAL"


class DatabaseDropped(SqlError):
    """The database is gone."""

    sqlstate = "57P04"
    severity = "FATAL"


class IdleSessionTimeout(SqlError):
    """The session was idle for too long."""

    sqlstate = "57P05"
    severity = "FATAL"


class IoError(SqlError):
    """Reading or writing failed outside PostgreSQL's control."""

    sqlstate = "58030"


class InternalError(SqlError):
    """A mistake of this program."""

    sqlstate = "XX000"


class DataCorrupted(SqlError):
    """Stored data fails its checks."""

    sqlstate = "XX001"


class IndexCorrupted(SqlError):
    """An index and its table disagree."""

    sqlstate = "XX002"


class ConfigFileError(SqlError):
    """A configuration file that cannot be used."""

    sqlstate = "F0000"
