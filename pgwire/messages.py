"""Encoders of every message the server sends. Each returns whole messages, tag and length included.

DataRow for batches of rows is in `pgwire.codecs.rows`.

Source: PostgreSQL docs, "Message Formats" and "Error and Notice Message Fields".
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pgwire.sql_error import SqlError

_HEADER: Final = struct.Struct("!cI")
_FIELD: Final = struct.Struct("!IhIhih")

PARSE_COMPLETE: Final = b"1\0\0\0\4"
BIND_COMPLETE: Final = b"2\0\0\0\4"
CLOSE_COMPLETE: Final = b"3\0\0\0\4"
NO_DATA: Final = b"n\0\0\0\4"
PORTAL_SUSPENDED: Final = b"s\0\0\0\4"
EMPTY_QUERY_RESPONSE: Final = b"I\0\0\0\4"
COPY_DONE: Final = b"c\0\0\0\4"

READY_IDLE: Final = b"Z\0\0\0\5I"
READY_IN_TRANSACTION: Final = b"Z\0\0\0\5T"
READY_FAILED: Final = b"Z\0\0\0\5E"


class FieldDescription(NamedTuple):
    """One column of RowDescription."""

    name: str
    type_oid: int
    typlen: int
    type_modifier: int = -1
    format_code: int = 0
    table_oid: int = 0
    column_number: int = 0


def message(tag: bytes, body: bytes) -> bytes:
    """Put tag and length in front of `body`."""
    return _HEADER.pack(tag, len(body) + 4) + body


def _string(text: str) -> bytes:
    """Encode a C string. A NUL would end it early, so it is left out."""
    return text.replace("\0", "").encode(errors="replace") + b"\0"


def row_description(fields: Sequence[FieldDescription]) -> bytes:
    """Encode RowDescription."""
    parts = [struct.pack("!H", len(fields))]
    for field in fields:
        parts.append(_string(field.name))
        parts.append(
            _FIELD.pack(
                field.table_oid,
                field.column_number,
                field.type_oid,
                field.typlen,
                field.type_modifier,
                field.format_code,
            )
        )
    return message(b"T", b"".join(parts))


def data_row(values: Sequence[bytes | None]) -> bytes:
    """Encode one DataRow of encoded values; None is NULL."""
    parts = [struct.pack("!H", len(values))]
    for value in values:
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(len(value).to_bytes(4, "big"))
            parts.append(value)
    return message(b"D", b"".join(parts))


def command_complete(command_tag: str) -> bytes:
    """Encode CommandComplete, for instance 'SELECT 5' or 'INSERT 0 1'."""
    return message(b"C", _string(command_tag))


def ready_for_query(status: str) -> bytes:
    """Encode ReadyForQuery: 'I' idle, 'T' in a transaction block, 'E' in a failed one."""
    return message(b"Z", status.encode())


def parameter_status(name: str, value: str) -> bytes:
    """Encode ParameterStatus."""
    return message(b"S", _string(name) + _string(value))


def backend_key_data(process_id: int, secret: int) -> bytes:
    """Encode BackendKeyData: what a CancelRequest has to repeat. Both are 32 bits."""
    return message(b"K", struct.pack("!II", process_id & 0xFFFFFFFF, secret & 0xFFFFFFFF))


def parameter_description(type_oids: Sequence[int]) -> bytes:
    """Encode ParameterDescription."""
    return message(b"t", struct.pack(f"!H{len(type_oids)}I", len(type_oids), *type_oids))


def _copy_response(tag: bytes, column_count: int, format_code: int) -> bytes:
    body = struct.pack(
        f"!bH{column_count}h", format_code, column_count, *([format_code] * column_count)
    )
    return message(tag, body)


def copy_in_response(column_count: int, *, format_code: int = 0) -> bytes:
    """Encode CopyInResponse: the client shall send its data now."""
    return _copy_response(b"G", column_count, format_code)


def copy_out_response(column_count: int, *, format_code: int = 0) -> bytes:
    """Encode CopyOutResponse: data follows."""
    return _copy_response(b"H", column_count, format_code)


def copy_data(data: bytes) -> bytes:
    """Encode CopyData."""
    return message(b"d", data)


def negotiate_protocol_version(minor: int, unknown_options: Sequence[str] = ()) -> bytes:
    """Encode NegotiateProtocolVersion: the newest minor version of 3 the server speaks."""
    names = b"".join(map(_string, unknown_options))
    return message(b"v", struct.pack("!ii", minor, len(unknown_options)) + names)


def authentication_sasl(mechanisms: Iterable[str]) -> bytes:
    """Encode AuthenticationSASL: the mechanisms the client may choose from."""
    return message(b"R", struct.pack("!i", 10) + b"".join(map(_string, mechanisms)) + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    """Encode AuthenticationSASLContinue."""
    return message(b"R", struct.pack("!i", 11) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    """Encode AuthenticationSASLFinal."""
    return message(b"R", struct.pack("!i", 12) + data)


def _report(tag: bytes, error: SqlError, severity: str) -> bytes:
    fields = [
        ("S", severity),
        ("V", severity),
        ("C", error.sqlstate),
        ("M", error.message),
        ("D", error.detail),
        ("H", error.hint),
        ("P", error.position),
        ("p", error.internal_position),
        ("q", error.internal_query),
        ("W", error.context),
        ("s", error.schema_name),
        ("t", error.table_name),
        ("c", error.column_name),
        ("d", error.data_type_name),
        ("n", error.constraint_name),
    ]
    body = b"".join(
        [code.encode() + _string(str(value)) for code, value in fields if value is not None]
    )
    return message(tag, body + b"\0")


def error_response(error: SqlError) -> bytes:
    """Encode ErrorResponse with every field the error has."""
    return _report(b"E", error, error.severity)


def notice_response(notice: SqlError, severity: str = "NOTICE") -> bytes:
    """Encode NoticeResponse; severity is NOTICE, WARNING, DEBUG, INFO or LOG."""
    return _report(b"N", notice, severity)
