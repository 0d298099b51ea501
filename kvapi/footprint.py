"""What a transaction read: validated at commit, re-validated by a refresh."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from kvapi.spans import Span


class Footprint(NamedTuple):
    """Keys and spans read at one snapshot."""

    keys: Sequence[bytes] = ()
    spans: Sequence[Span] = ()


EMPTY_FOOTPRINT: Final = Footprint()
