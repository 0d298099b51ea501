"""Errors about values and about what a statement may do with them (classes 0A, 20 to 23, 54)."""

from pgwire.sql_error import SqlError


class FeatureNotSupported(SqlError):
    """Something PostgreSQL has and Insula does not have yet. The message names it."""

    sqlstate = "0A000"


class CaseNotFound(SqlError):
    """No branch of a CASE statement applies."""

    sqlstate = "20000"


class CardinalityViolation(SqlError):
    """A subquery used as an expression gave more than one row, or ON CONFLICT met a row twice."""

    sqlstate = "21000"


class DataException(SqlError):
    """A value is wrong in a way that has no code of its own."""

    sqlstate = "22000"


class StringDataRightTruncation(SqlError):
    """A string is longer than its column allows."""

    sqlstate = "22001"


class NumericValueOutOfRange(SqlError):
    """A number does not fit its type."""

    sqlstate = "22003"


class NullValueNotAllowed(SqlError):
    """NULL where none may be."""

    sqlstate = "22004"


class InvalidDatetimeFormat(SqlError):
    """Text that is no date or time."""

    sqlstate = "22007"


class DatetimeFieldOverflow(SqlError):
    """A date or time outside its range."""

    sqlstate = "22008"


class InvalidTimeZoneDisplacementValue(SqlError):
    """A time zone offset outside its range."""

    sqlstate = "22009"


class SubstringError(SqlError):
    """A negative substring length."""

    sqlstate = "22011"


class DivisionByZero(SqlError):
    """A divisor is zero."""

    sqlstate = "22012"


class InvalidPrecedingOrFollowingSize(SqlError):
    """A window frame offset is negative or NULL."""

    sqlstate = "22013"


class InvalidArgumentForNtileFunction(SqlError):
    """ntile of nothing or less."""

    sqlstate = "22014"


class IntervalFieldOverflow(SqlError):
    """An interval outside its range."""

    sqlstate = "22015"


class InvalidArgumentForNthValueFunction(SqlError):
    """nth_value of position zero or less."""

    sqlstate = "22016"


class InvalidArgumentForLogarithm(SqlError):
    """The logarithm of zero or less."""

    sqlstate = "2201E"


class InvalidArgumentForPowerFunction(SqlError):
    """A power that has no real value."""

    sqlstate = "2201F"


class InvalidArgumentForWidthBucketFunction(SqlError):
    """Bounds or count that width_bucket cannot use."""

    sqlstate = "2201G"


class InvalidRowCountInLimitClause(SqlError):
    """LIMIT is negative."""

    sqlstate = "2201W"


class InvalidRowCountInResultOffsetClause(SqlError):
    """OFFSET is negative."""

    sqlstate = "2201X"


class InvalidRegularExpression(SqlError):
    """A regular expression that cannot be compiled."""

    sqlstate = "2201B"


class CharacterNotInRepertoire(SqlError):
    """Bytes that are no text in the stated encoding."""

    sqlstate = "22021"


class InvalidParameterValue(SqlError):
    """An argument or setting outside what is allowed."""

    sqlstate = "22023"


class InvalidEscapeSequence(SqlError):
    """An escape character followed by nothing it may escape."""

    sqlstate = "22025"


class StringDataLengthMismatch(SqlError):
    """A bit string of the wrong length."""

    sqlstate = "22026"


class TrimError(SqlError):
    """A trim set that is no single character."""

    sqlstate = "22027"


class ArraySubscriptError(SqlError):
    """A wrong array subscript or dimension."""

    sqlstate = "2202E"


class InvalidTablesampleRepeat(SqlError):
    """A bad REPEATABLE of TABLESAMPLE."""

    sqlstate = "2202G"


class SequenceGeneratorLimitExceeded(SqlError):
    """A sequence has no further value."""

    sqlstate = "2200H"


class InvalidTablesampleArgument(SqlError):
    """A bad percentage of TABLESAMPLE."""

    sqlstate = "2202H"


class InvalidJsonText(SqlError):
    """A duplicate object key in JSON that forbids it."""

    sqlstate = "22030"


class SqlJsonSubscriptError(SqlError):
    """A wrong subscript of a JSON value."""

    sqlstate = "22033"


class InvalidTextRepresentation(SqlError):
    """Text that is no value of the type asked for."""

    sqlstate = "22P02"


class InvalidBinaryRepresentation(SqlError):
    """Bytes that are no value of the type asked for."""

    sqlstate = "22P03"


class BadCopyFileFormat(SqlError):
    """A COPY line that does not fit its table or format."""

    sqlstate = "22P04"


class UntranslatableCharacter(SqlError):
    """A character the target encoding does not have."""

    sqlstate = "22P05"


class IntegrityConstraintViolation(SqlError):
    """A constraint is broken in a way that has no code of its own."""

    sqlstate = "23000"


class RestrictViolation(SqlError):
    """A referenced row may not go away."""

    sqlstate = "23001"


class NotNullViolation(SqlError):
    """NULL in a column that forbids it."""

    sqlstate = "23502"


class ForeignKeyViolation(SqlError):
    """A reference to, or from, a row that does not fit."""

    sqlstate = "23503"


class UniqueViolation(SqlError):
    """A second row with a key that must be unique."""

    sqlstate = "23505"


class CheckViolation(SqlError):
    """A row that a CHECK constraint refuses."""

    sqlstate = "23514"


class ProgramLimitExceeded(SqlError):
    """A limit of this program: key length, nesting, number of arguments."""

    sqlstate = "54000"


class StatementTooComplex(SqlError):
    """A statement nested too deeply."""

    sqlstate = "54001"


class TooManyColumns(SqlError):
    """More columns than a table or a result may have."""

    sqlstate = "54011"


class TooManyArguments(SqlError):
    """More arguments than a function call may have."""

    sqlstate = "54023"
