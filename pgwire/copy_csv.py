"""Cut csv records as PostgreSQL does: a quoted stretch may start and end anywhere inside a field.

Source: PostgreSQL's CopyReadAttributesCSV (src/backend/commands/copyfromparse.c).
"""

import re

from pgwire.copy_options import CopyOptions
from pgwire.errors import BadCopyFileFormat


class CsvSplitter:
    """Cuts records into values and tells which of them had quotes."""

    def __init__(self, options: CopyOptions) -> None:
        self._quote = options.quote_text
        self._escape = options.escape_text
        self._delimiter = options.delimiter_text
        self._special = re.compile(
            "|".join(sorted({re.escape(c) for c in (self._quote, self._escape)}))
        )

    def is_open(self, record: str) -> bool:
        """Whether the newline after `record` is inside quotes."""
        quote, escape = self._quote, self._escape
        if quote == escape:
            return record.count(quote) % 2 == 1
        is_quoted, skip_to = False, 0
        for match in self._special.finditer(record):
            at = match.start()
            if at < skip_to:
                continue
            if is_quoted and match[0] == escape and record[at + 1 : at + 2] in (quote, escape):
                skip_to = at + 2
            elif match[0] == quote:
                is_quoted = not is_quoted
        return is_quoted

    def split(self, record: str) -> tuple[list[str], list[bool]]:
        """Return the values and whether each was quoted. Raises: BadCopyFileFormat, no context."""
        if self._quote in record:
            return self._precise(record)
        _check_unquoted(record)
        values = record.split(self._delimiter)
        return values, [False] * len(values)

    def _precise(self, record: str) -> tuple[list[str], list[bool]]:
        """Cut a record with quotes; a quote may start and end anywhere inside a field."""
        quote, escape, delimiter = self._quote, self._escape, self._delimiter
        if quote == escape and quote * 2 not in record and "\r" not in record:
            return _simple(record, quote, delimiter)
        values: list[str] = []
        quoted: list[bool] = []
        pieces: list[str] = []
        at, was_quoted = 0, False
        while True:
            next_quote = record.find(quote, at)
            next_delimiter = record.find(delimiter, at)
            if next_quote >= 0 and (next_delimiter < 0 or next_quote < next_delimiter):
                _check_unquoted(record[at:next_quote])
                pieces.append(record[at:next_quote])
                text, at = self._quoted_piece(record, next_quote + 1, quote, escape)
                pieces.append(text)
                was_quoted = True
                continue
            end = next_delimiter if next_delimiter >= 0 else len(record)
            _check_unquoted(record[at:end])
            pieces.append(record[at:end])
            values.append("".join(pieces))
            quoted.append(was_quoted)
            if next_delimiter < 0:
                return values, quoted
            pieces, was_quoted, at = [], False, end + 1

    def _quoted_piece(self, record: str, at: int, quote: str, escape: str) -> tuple[str, int]:
        """Return the text from `at` to the closing quote, and the position after it."""
        pieces: list[str] = []
        while True:
            match = self._special.search(record, at)
            if match is None:
                raise BadCopyFileFormat("unterminated CSV quoted field")
            found = match.start()
            pieces.append(record[at:found])
            follower = record[found + 1 : found + 2]
            if match[0] == escape and follower and follower in (quote, escape):
                pieces.append(follower)
                at = found + 2
            elif match[0] == quote:
                return "".join(pieces), found + 1
            else:
                pieces.append(match[0])
                at = found + 1


def _check_unquoted(text: str) -> None:
    if "\r" in text:
        raise BadCopyFileFormat(
            "unquoted carriage return found in data",
            hint="Use quoted CSV field to represent carriage return.",
        )


def _simple(record: str, quote: str, delimiter: str) -> tuple[list[str], list[bool]]:
    """Cut a record without doubled quotes: every second piece between quotes is quoted."""
    values: list[str] = []
    quoted: list[bool] = []
    value, was_quoted, is_inside = "", False, True
    for piece in record.split(quote):
        is_inside = not is_inside
        if is_inside:
            value += piece
            was_quoted = True
            continue
        first, *others = piece.split(delimiter)
        value += first
        if others:
            values.append(value)
            quoted.append(was_quoted)
            values += others[:-1]
            quoted += [False] * (len(others) - 1)
            value, was_quoted = others[-1], False
    values.append(value)
    quoted.append(was_quoted)
    return values, quoted
