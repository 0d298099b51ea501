"""A datum as text and back, for any type: the bridge to the codecs of the wire protocol.

Types whose text depends on the session (timestamptz, bytea, reg*) read it from the settings.
"""

from collections.abc import Callable
from typing import Any

Writer = Callable[[Any], str]
Reader = Callable[[str], Any]
