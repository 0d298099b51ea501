"""Rows of datums to COPY data in text and csv format.

Source: PostgreSQL's CopyAttributeOutText and CopyAttributeOutCSV (src/backend/commands/copyto.c).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from pgwire.codecs.registry import text_output
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.copy_options import CopyOptions
from pgwire.datum import Datum
from pgwire.errors import UntranslatableCharacter

_CONTROL: Final = {
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}

Cell = Callable[[Datum], str]


def _text_cell(out: Callable[[Datum], str], options: CopyOptions) -> Cell:
    null, delimiter = options.null_text, options.delimiter_text
    special = re.compile("[" + re.escape("\b\f\n\r\t\v\\" + delimiter) + "]")

    def escape(match: re.Match[str]) -> str:
        return _CONTROL.get(match[0], "\\" + match[0])

    def cell(value: Datum) -> str:
        if value is None:
            return null
        text = out(value)
        return special.sub(escape, text) if special.search(text) is not None else text

    return cell


def _csv_cell(
    out: Callable[[Datum], str], options: CopyOptions, *, is_forced: bool, is_single: bool
) -> Cell:
    null, quote, escape = options.null_text, options.quote_text, options.escape_text
    special = re.compile("[" + re.escape(options.delimiter_text + quote + "\r\n") + "]")
    escaped = re.compile("[" + re.escape(quote + escape) + "]")

    def cell(value: Datum) -> str:
        if value is None:
            return null
        text = out(value)
        if not (
            is_forced
            or text == null
            or special.search(text) is not None
            or (is_single and text == "\\.")
        ):
            return text
        return quote + escaped.sub(lambda match: escape + match[0], text) + quote

    return cell


class CopyWriter:
    """Encoder of one COPY TO: `header()` first, then any number of `encode(rows)`."""

    def __init__(
        self,
        options: CopyOptions,
        column_names: Sequence[str],
        type_oids: Sequence[int],
        settings: Settings = DEFAULT_SETTINGS,
    ) -> None:
        self._options = options
        self._names = list(column_names)
        self._codec = options.codec_name or "utf-8"
        is_single = len(type_oids) == 1
        self._cells: list[Cell] = []
        for name, oid in zip(column_names, type_oids, strict=True):
            out = text_output(oid, settings)
            if options.is_csv:
                is_forced = bool(options.force_quote & {name, "*"})
                self._cells.append(
                    _csv_cell(out, options, is_forced=is_forced, is_single=is_single)
                )
            else:
                self._cells.append(_text_cell(out, options))

    def header(self) -> bytes:
        """Return the header line, or nothing if none was asked for."""
        options = self._options
        if not options.header:
            return b""
        if options.is_csv:
            cell = _csv_cell(str, options, is_forced=False, is_single=len(self._names) == 1)
        else:
            cell = _text_cell(str, options)
        return self._encoded(options.delimiter_text.join(map(cell, self._names)) + "\n")

    def encode(self, rows: Sequence[Sequence[Datum]]) -> bytes:
        """Return the lines of `rows`. Raises: UntranslatableCharacter."""
        delimiter, cells = self._options.delimiter_text, self._cells
        lines = [
            delimiter.join([cell(value) for cell, value in zip(cells, row, strict=True)])
            for row in rows
        ]
        return self._encoded("\n".join(lines) + "\n") if lines else b""

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode(self._codec)
        except UnicodeEncodeError as error:
            bad = text[error.start].encode().hex(" ")
            shown = " ".join(f"0x{byte}" for byte in bad.split())
            raise UntranslatableCharacter(
                f'character with byte sequence {shown} in encoding "UTF8" has no equivalent '
                f'in encoding "{self._options.encoding}"'
            ) from None
