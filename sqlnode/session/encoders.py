"""Row encoders of a session, kept while its output settings stay the same."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pgwire.codecs.rows import row_encoder
from pgwire.codecs.settings import Settings

RowsEncoder = Callable[[Sequence[Any]], bytes]
ENCODERS_MAX: Final = 256


class Encoders:
    """Functions from rows to DataRow messages, by column types and formats."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._made: dict[tuple[tuple[int, ...], tuple[int, ...]], RowsEncoder] = {}

    def use(self, settings: Settings) -> None:
        """Encode with `settings` from now on."""
        if settings is not self._settings:
            self._settings = settings
            self._made.clear()

    def rows(self, type_oids: tuple[int, ...], formats: tuple[int, ...]) -> RowsEncoder:
        """Return the encoder. Raises: ProtocolViolation, FeatureNotSupported."""
        key = (type_oids, formats)
        encoder = self._made.get(key)
        if encoder is None:
            if len(self._made) >= ENCODERS_MAX:
                self._made.clear()
            encoder = self._made[key] = row_encoder(type_oids, formats, self._settings)
        return encoder
