"""What a client's error says: the words for the report, and whether the request may have happened.

A server that answers with an SQLSTATE has rolled back, unless it says that it does not know or
that it is going away. A connection refused for want of room never began.
"""

from typing import Final

from asyncpg import PostgresError

_CHARS_MAX: Final = 160
_REFUSED: Final = ("53", "57P03")  # no resources; not accepting connections now
_UNKNOWN: Final = ("08", "40003", "57P")  # connection, statement_completion_unknown, shutdown


def describe(error: BaseException) -> str:
    """Return the SQLSTATE or the class, and the first line of the message.

    >>> describe(TimeoutError("no answer"))
    'TimeoutError: no answer'
    """
    state = sqlstate(error) or type(error).__name__
    words = str(error).splitlines()
    return f"{state}: {words[0]}"[:_CHARS_MAX] if words else state


def sqlstate(error: BaseException) -> str:
    """Return what the server answered with; empty: it was not the server.

    >>> sqlstate(OSError())
    ''
    """
    return str(error.sqlstate or "") if isinstance(error, PostgresError) else ""


def is_refusal(error: BaseException) -> bool:
    """Tell whether the server was too full to begin."""
    return tells_refusal(sqlstate(error))


def tells_refusal(text: str) -> bool:
    """Tell it from an SQLSTATE, or from what `describe` returned.

    >>> tells_refusal("53300: sorry, too many clients already"), tells_refusal("40001: conflict")
    (True, False)
    """
    return text.startswith(_REFUSED)


def may_have_happened(error: BaseException) -> bool:
    """Tell whether what failed may be there all the same."""
    state = sqlstate(error)
    return not is_refusal(error) and (not state or state.startswith(_UNKNOWN))
