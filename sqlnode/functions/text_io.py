"""A datum as text and back, for any type: the bridge to the codecs of the wire protocol."""

from collections.abc import Callable
from typing import Any

from pgwire.codecs.registry import text_in, text_output
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from sqlnode.types import SqlType

Writer = Callable[[Any], str]
Reader = Callable[[str], Any]


def writer(sql_type: SqlType, settings: Settings = DEFAULT_SETTINGS) -> Writer:
    """Return the output function of a type under `settings`. Raises: FeatureNotSupported."""
    return text_output(sql_type.oid, settings)


def reader(sql_type: SqlType, settings: Settings = DEFAULT_SETTINGS) -> Reader:
    """Return the input function of a type under `settings`. Raises: FeatureNotSupported."""
    read = text_in(sql_type.oid)
    return lambda text: read(text, settings)
