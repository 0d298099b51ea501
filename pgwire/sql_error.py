"""The base of every error a client can see: message, SQLSTATE and the optional fields.

Concrete classes are in `pgwire.errors`; import them from there.
"""

from typing import ClassVar


class SqlError(Exception):
    """An error with everything ErrorResponse and NoticeResponse carry.

    `position` counts characters of the statement from 1. `sqlstate` and `severity` default to the
    class's own. Fields are ordinary attributes: an outer layer adds what an inner one cannot know.
    """

    sqlstate: str = "XX000"
    severity: str = "ERROR"
    retryable: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913 - one argument for each field of the message
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        internal_position: int | None = None,
        internal_query: str | None = None,
        context: str | None = None,
        sqlstate: str | None = None,
        severity: str | None = None,
        schema_name: str | None = None,
        table_name: str | None = None,
        column_name: str | None = None,
        data_type_name: str | None = None,
        constraint_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.internal_position = internal_position
        self.internal_query = internal_query
        self.context = context
        self.schema_name = schema_name
        self.table_name = table_name
        self.column_name = column_name
        self.data_type_name = data_type_name
        self.constraint_name = constraint_name
        if sqlstate is not None:
            self.sqlstate = sqlstate
        if severity is not None:
            self.severity = severity

    @property
    def is_fatal(self) -> bool:
        """Whether the connection ends with this error."""
        return self.severity in ("FATAL", "PANIC")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sqlstate}: {self.message})"
