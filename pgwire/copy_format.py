"""COPY data in text and csv format to rows of strings, piece by piece as the client sends it.

**Model**: bytes are collected until they end a line; whole lines are decoded together and cut at
newlines. A line without quotes or backslashes is one `str.split`, and nearly all lines are. Only
the others pay for the precise rules. Values are not converted: `pgwire.codecs` does that.

Source: PostgreSQL docs, "COPY"; src/backend/commands/copyfromparse.c.
"""

import re
from collections.abc import Sequence
from typing import Final

from pgwire.copy_csv import CsvSplitter
from pgwire.copy_options import CopyOptions
from pgwire.errors import BadCopyFileFormat, CharacterNotInRepertoire, ProgramLimitExceeded
from pgwire.sql_error import SqlError

CopyRow = tuple[str | None, ...]

LINE_BYTES_MAX: Final = 64 << 20
_END_MARK: Final = "\\."
_SHOWN_MAX: Final = 100
_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.|\Z)", re.DOTALL)
_MARKED: Final = re.compile(r"((?:[^\\]|\\[^.])*)\\\.", re.DOTALL)
_TEXT_FIELD_RAW: Final = r"((?:[^\\{0}]|\\.)*\\?)(?:{0}|\Z)"
_SINGLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1 and code[0] == "x":
        return _byte(code[1:], 16)
    if code and code[0] in "01234567":
        return _byte(code, 8)
    return _SINGLE.get(code, code)


def _byte(digits: str, base: int) -> str:
    """Return the byte as a surrogate escape, so that several can form one UTF-8 character."""
    return bytes((int(digits, base) & 0xFF,)).decode("utf-8", "surrogateescape")


class CopyReader:
    """Parser of one COPY FROM. Feed what CopyData brings, then call `finish` once."""

    def __init__(
        self,
        options: CopyOptions,
        table_name: str,
        column_names: Sequence[str],
        *,
        line_bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        self._options = options
        self._table_name = table_name
        self._columns = tuple(column_names)
        self._line_bytes_max = line_bytes_max
        self._codec = options.codec_name or "utf-8"
        self._pending = bytearray()
        self._open_record = ""
        self._scanned = 0
        self._line_number = 0
        self._is_header_due = bool(options.header)
        self._is_ended = False
        self._newline = ""
        self._force_null = [n for n, c in enumerate(column_names) if c in options.force_null]
        self._force_not_null = [
            n for n, c in enumerate(column_names) if c in options.force_not_null
        ]
        delimiter = re.escape(options.delimiter_text)
        self._text_field = re.compile(_TEXT_FIELD_RAW.format(delimiter), re.DOTALL)
        self._csv = CsvSplitter(options)
        self.batch_lines: list[int] = []
        """The line on which each row of the last batch ends."""

    def feed(self, data: bytes) -> list[CopyRow]:
        """Return the rows that `data` completes. Raises: SqlError with COPY's context."""
        self.batch_lines = []
        if self._is_ended:
            return []
        self._pending += data
        end = self._pending.rfind(b"\n", self._scanned) + 1
        if not end:
            self._scanned = len(self._pending)
            self._check_bound()
            return []
        chunk = bytes(memoryview(self._pending)[:end])
        del self._pending[:end]
        self._scanned = len(self._pending)
        rows = self._rows(self._decode(chunk).split("\n")[:-1])
        self._check_bound()
        return rows

    def finish(self) -> list[CopyRow]:
        """Return the last row, if it has no newline. Raises: SqlError with COPY's context."""
        self.batch_lines = []
        rest = bytes(self._pending)
        self._pending.clear()
        rows: list[CopyRow] = []
        if rest and not self._is_ended:
            rows = self._rows([self._decode(rest)], is_last=True)
        if self._open_record and not self._is_ended:
            if self._options.is_csv:
                raise self._error("unterminated CSV quoted field", self._open_record)
            line, self._open_record = self._open_record, ""
            self._record(line if rest else line + "\n", rows)
        return rows

    def context(
        self, row_index: int, column_index: int | None = None, value: str | None = None
    ) -> str:
        """Return the context line for an error in a row of the last batch."""
        text = f"COPY {self._table_name}, line {self.batch_lines[row_index]}"
        if column_index is None:
            return text
        text += f", column {self._columns[column_index]}: "
        return text + ("null input" if value is None else f'"{_shown(value)}"')

    def _check_bound(self) -> None:
        if max(len(self._pending), len(self._open_record)) > self._line_bytes_max:
            self._line_number += 1
            raise self._with_context(ProgramLimitExceeded("COPY line is too long"))

    def _decode(self, chunk: bytes) -> str:
        try:
            text = chunk.decode(self._codec)
        except UnicodeDecodeError as error:
            self._line_number += chunk.count(b"\n", 0, error.start) + 1
            bad = " ".join(f"0x{byte:02x}" for byte in chunk[error.start : error.start + 1])
            raise self._with_context(
                CharacterNotInRepertoire(
                    f'invalid byte sequence for encoding "{self._options.encoding}": {bad}'
                )
            ) from None
        if "\0" in text:
            self._line_number += text.count("\n", 0, text.index("\0")) + 1
            raise self._with_context(
                CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
            )
        return text

    def _rows(self, lines: list[str], *, is_last: bool = False) -> list[CopyRow]:
        if not self._newline and lines and not is_last:
            self._newline = "\r\n" if lines[0].endswith("\r") else "\n"
        rows: list[CopyRow] = []
        special = self._options.quote_text if self._options.is_csv else "\\"
        delimiter, null = self._options.delimiter_text, self._options.null_text
        count = len(self._columns)
        is_plain = self._newline != "\r\n" and not self._force_null and not self._force_not_null
        append, note = rows.append, self.batch_lines.append
        for line in lines:
            self._line_number += 1
            if (
                is_plain
                and special not in line
                and not self._open_record
                and not self._is_header_due
                and "\r" not in line
                and len(fields := line.split(delimiter)) == count
                and line != _END_MARK
            ):
                append(
                    tuple([None if field == null else field for field in fields])
                    if null in fields
                    else tuple(fields)
                )
                note(self._line_number)
            elif self._slow_line(line, rows, is_last=is_last):
                break
        return rows

    def _slow_line(self, line: str, rows: list[CopyRow], *, is_last: bool) -> bool:
        """Add one physical line to the open record; return True at the end mark."""
        record = f"{self._open_record}\n{line}" if self._open_record else line
        if self._is_open(record):
            self._open_record = record
            if len(record) > self._line_bytes_max:
                self._check_bound()
            return False
        self._open_record = ""
        record = self._strip_newline(record, is_last=is_last)
        if record == _END_MARK:
            self._is_ended = True
            return True
        if _END_MARK in record and not self._options.is_csv:
            record = self._cut_at_mark(record)
        self._record(record, rows)
        return self._is_ended

    def _is_open(self, record: str) -> bool:
        """Whether the newline after `record` belongs to a value."""
        options = self._options
        if not options.is_csv:
            return (len(record) - len(record.rstrip("\\"))) % 2 == 1
        return options.quote_text in record and self._csv.is_open(record)

    def _cut_at_mark(self, record: str) -> str:
        """End the data at an end mark that has values before it; nothing may follow it."""
        match = _MARKED.match(record)
        if match is None:
            return record
        if match.end() != len(record):
            raise self._error("end-of-copy marker corrupt", record)
        self._is_ended = True
        return match[1]

    def _strip_newline(self, record: str, *, is_last: bool) -> str:
        if self._newline == "\r\n":
            if record.endswith("\r"):
                return record[:-1]
            if not is_last and record != _END_MARK:
                kind = "unquoted" if self._options.is_csv else "literal"
                raise self._error(f"{kind} newline found in data", record)
        elif record.endswith("\r") and is_last:
            return record[:-1]
        return record

    def _record(self, record: str, rows: list[CopyRow]) -> None:
        if self._is_header_due:
            self._is_header_due = False
            if self._options.header == "match":
                self._check_header(record)
            return
        fields = self._csv_fields(record) if self._options.is_csv else self._text_fields(record)
        self._check_count(fields, record)
        rows.append(tuple(fields))
        self.batch_lines.append(self._line_number)

    def _check_count(self, fields: Sequence[str | None], record: str) -> None:
        count = len(self._columns)
        if len(fields) < count:
            missing = self._columns[len(fields)]
            raise self._error(f'missing data for column "{missing}"', record)
        if len(fields) > count and not (count == 0 and record == ""):
            raise self._error("extra data after last expected column", record)

    def _check_header(self, record: str) -> None:
        fields = self._csv_fields(record) if self._options.is_csv else self._text_fields(record)
        if len(fields) != len(self._columns):
            raise self._error(
                f"wrong number of fields in header line: got {len(fields)}, "
                f"expected {len(self._columns)}",
                None,
            )
        for number, (field, column) in enumerate(zip(fields, self._columns, strict=True), 1):
            if field is None:
                raise self._error(
                    "column name mismatch in header line field "
                    f'{number}: got null value ("{self._options.null_text}"), expected "{column}"',
                    None,
                )
            if field != column:
                raise self._error(
                    f"column name mismatch in header line field {number}: "
                    f'got "{field}", expected "{column}"',
                    None,
                )

    def _text_fields(self, record: str) -> list[str | None]:
        if "\r" in record:
            raise self._error(
                "literal carriage return found in data",
                record,
                hint='Use "\\r" to represent carriage return.',
            )
        null = self._options.null_text
        if "\\" not in record:
            plain = record.split(self._options.delimiter_text)
            return [None if field == null else field for field in plain]
        fields: list[str | None] = []
        at = 0
        while True:
            match = self._text_field.match(record, at)
            if match is None:
                raise self._error("invalid COPY line", record)
            raw = match[1]
            fields.append(None if raw == null else self._text_value(raw, record))
            if match.end() == match.end(1):
                return fields
            at = match.end()

    def _text_value(self, raw: str, record: str) -> str:
        if "\\" not in raw:
            return raw
        value = _ESCAPE.sub(_unescape, raw)
        if not value.isascii():
            try:
                value = value.encode("utf-8", "surrogateescape").decode()
            except UnicodeDecodeError:
                raise self._error("invalid byte sequence", record, encoding=True) from None
        if "\0" in value:
            raise self._error("invalid byte sequence", record, encoding=True)
        return value

    def _csv_fields(self, record: str) -> list[str | None]:
        options = self._options
        null = options.null_text
        try:
            values, quoted = self._csv.split(record)
        except BadCopyFileFormat as error:
            raise self._with_context(error, record) from None
        fields = [
            None if value == null and not is_quoted else value
            for value, is_quoted in zip(values, quoted, strict=True)
        ]
        for index in self._force_not_null:
            if index < len(fields) and fields[index] is None:
                fields[index] = null
        for index in self._force_null:
            if index < len(fields) and fields[index] == null:
                fields[index] = None
        return fields

    def _error(
        self, text: str, record: str | None, *, hint: str | None = None, encoding: bool = False
    ) -> SqlError:
        kind = CharacterNotInRepertoire if encoding else BadCopyFileFormat
        if encoding:
            text = 'invalid byte sequence for encoding "UTF8"'
        return self._with_context(kind(text, hint=hint), record)

    def _with_context(self, error: SqlError, record: str | None = None) -> SqlError:
        error.context = f"COPY {self._table_name}, line {self._line_number}"
        if record is not None:
            error.context += f': "{_shown(record)}"'
        return error


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
