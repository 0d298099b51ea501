"""The options of COPY, checked as PostgreSQL checks them, with the defaults of each format.

Source: PostgreSQL's ProcessCopyOptions (src/backend/commands/copy.c).
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pgwire.errors import (
    FeatureNotSupported,
    InvalidParameterValue,
    SqlError,
    SqlSyntaxError,
)

_ENCODINGS: Final = {
    "utf8": "utf-8",
    "unicode": "utf-8",
    "sqlascii": "utf-8",
    "latin1": "iso8859-1",
    "iso88591": "iso8859-1",
    "latin2": "iso8859-2",
    "latin9": "iso8859-15",
    "win1250": "cp1250",
    "win1251": "cp1251",
    "win1252": "cp1252",
    "koi8r": "koi8-r",
}
_TEXT_DELIMITERS_FORBIDDEN: Final = "\\.abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class CopyOptions:
    """Options of one COPY. None for a text option means the format's default.

    `header` is a boolean or "match". The force options name columns; "*" in `force_quote` is all.

    Raises: SqlError (0A000, 22023, 42601) when built with options that do not go together.
    """

    format: str = "text"
    delimiter: str | None = None
    null: str | None = None
    header: bool | str = False
    quote: str | None = None
    escape: str | None = None
    force_quote: frozenset[str] = frozenset()
    force_not_null: frozenset[str] = frozenset()
    force_null: frozenset[str] = frozenset()
    encoding: str = "UTF8"

    def __post_init__(self) -> None:
        if self.format == "binary":
            raise FeatureNotSupported("COPY in binary format is not supported")
        if self.format not in ("text", "csv"):
            raise InvalidParameterValue(f'COPY format "{self.format}" not recognized')
        for name, value in (("delimiter", "\t"), ("null", "\\N")):
            default = value if self.format == "text" else {"delimiter": ",", "null": ""}[name]
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        self._check_csv_only()
        if self.quote is None:
            object.__setattr__(self, "quote", '"')
        if self.escape is None:
            object.__setattr__(self, "escape", self.quote)
        for problem, is_wrong, kind in self._rules():
            if is_wrong:
                raise kind(problem)
        if self.codec_name is None:
            raise FeatureNotSupported(f'COPY encoding "{self.encoding}" is not supported')

    def _check_csv_only(self) -> None:
        if self.is_csv:
            return
        for name in ("quote", "escape", "force_quote", "force_not_null", "force_null"):
            if getattr(self, name):
                shown = name.replace("_", " ")
                raise FeatureNotSupported(f"COPY {shown} available only in CSV mode")

    def _rules(self) -> list[tuple[str, bool, Callable[[str], SqlError]]]:
        delimiter, null, quote = self.delimiter_text, self.null_text, self.quote_text
        is_text = not self.is_csv
        return [
            (
                "COPY delimiter must be a single one-byte character",
                len(delimiter) != 1 or not delimiter.isascii(),
                FeatureNotSupported,
            ),
            (
                "COPY delimiter cannot be newline or carriage return",
                delimiter in ("\n", "\r"),
                InvalidParameterValue,
            ),
            (
                "COPY null representation cannot use newline or carriage return",
                "\n" in null or "\r" in null,
                InvalidParameterValue,
            ),
            (
                f'COPY delimiter cannot be "{delimiter}"',
                is_text and delimiter in _TEXT_DELIMITERS_FORBIDDEN,
                InvalidParameterValue,
            ),
            (
                "COPY quote must be a single one-byte character",
                self.is_csv and (len(quote) != 1 or not quote.isascii()),
                FeatureNotSupported,
            ),
            (
                "COPY delimiter and quote must be different",
                self.is_csv and delimiter == quote,
                InvalidParameterValue,
            ),
            (
                "COPY escape must be a single one-byte character",
                self.is_csv and (len(self.escape_text) != 1 or not self.escape_text.isascii()),
                FeatureNotSupported,
            ),
            (
                "COPY delimiter must not appear in the NULL specification",
                delimiter in null,
                FeatureNotSupported,
            ),
            (
                "CSV quote character must not appear in the NULL specification",
                self.is_csv and quote in null,
                FeatureNotSupported,
            ),
            (
                'header requires a Boolean value or "match"',
                not isinstance(self.header, bool) and self.header != "match",
                SqlSyntaxError,
            ),
        ]

    @property
    def is_csv(self) -> bool:
        """Whether the format is csv."""
        return self.format == "csv"

    @property
    def delimiter_text(self) -> str:
        """The character between fields."""
        return self.delimiter or ""

    @property
    def null_text(self) -> str:
        """How NULL is written."""
        return self.null or ""

    @property
    def quote_text(self) -> str:
        """The quote character of csv."""
        return self.quote or ""

    @property
    def escape_text(self) -> str:
        """The character that escapes a quote in a quoted csv field."""
        return self.escape or ""

    @property
    def codec_name(self) -> str | None:
        """Python's name of the encoding, None if unknown."""
        name = "".join([c for c in self.encoding.lower() if c.isalnum()])
        known = _ENCODINGS.get(name)
        return None if known is None else codecs.lookup(known).name
