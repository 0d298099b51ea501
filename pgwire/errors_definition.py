"""Errors about names, types and definitions (classes 2B, 3D, 3F, 42)."""

from pgwire.sql_error import SqlError


class DependentObjectsStillExist(SqlError):
    """An object that others still need cannot be dropped without CASCADE."""

    sqlstate = "2BP01"


class InvalidCatalogName(SqlError):
    """A database that does not exist."""

    sqlstate = "3D000"


class InvalidSchemaName(SqlError):
    """A schema that does not exist."""

    sqlstate = "3F000"


class SyntaxErrorOrAccessRuleViolation(SqlError):
    """A rule of SQL is broken in a way that has no code of its own."""

    sqlstate = "42000"


class InsufficientPrivilege(SqlError):
    """The role may not do this."""

    sqlstate = "42501"


class SqlSyntaxError(SqlError):
    """Text that is no SQL."""

    sqlstate = "42601"


class InvalidName(SqlError):
    """A name that is empty or otherwise impossible."""

    sqlstate = "42602"


class NameTooLong(SqlError):
    """A name longer than names may be."""

    sqlstate = "42622"


class ReservedName(SqlError):
    """A name that is reserved."""

    sqlstate = "42939"


class DuplicateColumn(SqlError):
    """A column of that name exists already."""

    sqlstate = "42701"


class AmbiguousColumn(SqlError):
    """A column name that fits more than one table."""

    sqlstate = "42702"


class UndefinedColumn(SqlError):
    """A column that does not exist."""

    sqlstate = "42703"


class UndefinedObject(SqlError):
    """A type, role, constraint, setting or other object that does not exist."""

    sqlstate = "42704"


class DuplicateObject(SqlError):
    """A constraint, role or other object of that name exists already."""

    sqlstate = "42710"


class DuplicateAlias(SqlError):
    """Two tables of one FROM clause with the same name."""

    sqlstate = "42712"


class DuplicateFunction(SqlError):
    """A function of that name and signature exists already."""

    sqlstate = "42723"


class AmbiguousFunction(SqlError):
    """A call or operator that fits more than one function."""

    sqlstate = "42725"


class GroupingError(SqlError):
    """A column that is neither grouped nor aggregated."""

    sqlstate = "42803"


class DatatypeMismatch(SqlError):
    """A value of one type where another is needed."""

    sqlstate = "42804"


class WrongObjectType(SqlError):
    """A table where a view is needed, and the like."""

    sqlstate = "42809"


class InvalidForeignKey(SqlError):
    """A foreign key that refers to no unique key."""

    sqlstate = "42830"


class CannotCoerce(SqlError):
    """A cast that does not exist."""

    sqlstate = "42846"


class UndefinedFunction(SqlError):
    """A function or operator that does not exist for these types."""

    sqlstate = "42883"


class GeneratedAlways(SqlError):
    """A value for a column that is always generated."""

    sqlstate = "428C9"


class UndefinedTable(SqlError):
    """A table, view, index or sequence that does not exist."""

    sqlstate = "42P01"


class UndefinedParameter(SqlError):
    """A parameter that was not given."""

    sqlstate = "42P02"


class DuplicateCursor(SqlError):
    """A cursor of that name is open already."""

    sqlstate = "42P03"


class DuplicateDatabase(SqlError):
    """A database of that name exists already."""

    sqlstate = "42P04"


class DuplicatePreparedStatement(SqlError):
    """A prepared statement of that name exists already."""

    sqlstate = "42P05"


class DuplicateSchema(SqlError):
    """A schema of that name exists already."""

    sqlstate = "42P06"


class DuplicateTable(SqlError):
    """A table, view, index or sequence of that name exists already."""

    sqlstate = "42P07"


class AmbiguousParameter(SqlError):
    """A parameter that would need two types at once."""

    sqlstate = "42P08"


class AmbiguousAlias(SqlError):
    """An alias that fits more than one table."""

    sqlstate = "42P09"


class InvalidColumnReference(SqlError):
    """A column reference that is not allowed here, or ON CONFLICT without a unique index."""

    sqlstate = "42P10"


class InvalidCursorDefinition(SqlError):
    """A cursor that may not be declared so."""

    sqlstate = "42P11"


class InvalidDatabaseDefinition(SqlError):
    """A database that may not be defined so."""

    sqlstate = "42P12"


class InvalidFunctionDefinition(SqlError):
    """A function that may not be defined so."""

    sqlstate = "42P13"


class InvalidPreparedStatementDefinition(SqlError):
    """A statement that cannot be prepared so."""

    sqlstate = "42P14"


class InvalidSchemaDefinition(SqlError):
    """A schema that may not be defined so."""

    sqlstate = "42P15"


class InvalidTableDefinition(SqlError):
    """A table that may not be defined so, for instance with two primary keys."""

    sqlstate = "42P16"


class InvalidObjectDefinition(SqlError):
    """An object that may not be defined so."""

    sqlstate = "42P17"


class IndeterminateDatatype(SqlError):
    """A parameter or literal whose type nothing determines."""

    sqlstate = "42P18"


class InvalidRecursion(SqlError):
    """A recursive query of a form that is not allowed."""

    sqlstate = "42P19"


class WindowingError(SqlError):
    """A window function where none may be."""

    sqlstate = "42P20"


class CollationMismatch(SqlError):
    """Two collations that contradict each other."""

    sqlstate = "42P21"


class IndeterminateCollation(SqlError):
    """A comparison with no collation to use."""

    sqlstate = "42P22"
