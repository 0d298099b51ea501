"""A datum as text and back, for any type: the bridge to the codecs of the wire protocol."""

from collections.abc import Callable
from typing import Any, Protocol

from pgwire.codecs.registry import text_in, text_output
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from sqlnode.types import SqlType

Writer = Callable[[Any], str]
Reader = Callable[[str], Any]


class HasSettings(Protocol):
    """What text input and output need of an ExecContext."""

    @property
    def settings(self) -> Settings: ...


# The types whose text depends on the session; arrays and records of them do as well.
_SESSION_TYPES = frozenset({"timestamptz", "bytea", "float4", "float8", "record"})
_SESSION_INPUT = frozenset({"timestamptz", "timestamp", "date", "time"})


def writer(sql_type: SqlType, settings: Settings = DEFAULT_SETTINGS) -> Writer:
    """Return the output function of a type under `settings`. Raises: FeatureNotSupported."""
    return text_output(sql_type.oid, settings)


def reader(sql_type: SqlType, settings: Settings = DEFAULT_SETTINGS) -> Reader:
    """Return the input function of a type under `settings`. Raises: FeatureNotSupported."""
    read = text_in(sql_type.oid)
    return lambda text: read(text, settings)


def output_needs_session(sql_type: SqlType) -> bool:
    """Whether text output of the type depends on the session."""
    return sql_type.name.removeprefix("_") in _SESSION_TYPES


def input_needs_session(sql_type: SqlType) -> bool:
    """Whether text input of the type depends on the session."""
    return sql_type.name.removeprefix("_") in _SESSION_INPUT
