"""Runs sqllogictest records on a connection and says which failed and how."""

import hashlib
from decimal import Decimal

from psycopg import pq

_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)


def run_record(connection, record):
    """Run one record by the simple protocol; return what is wrong with its answer, or None."""
    result = connection.pgconn.exec_(record.sql.encode())
    if result.status not in _DONE:
        error = result.error_message.decode().split("\n")[0]
        return None if record.must_fail else error
    if record.must_fail:
        return "did not fail"
    if not record.types:
        return None
    if result.nfields != len(record.types):
        return f"{result.nfields} columns"
    values = _values(result, record)
    expected = list(record.expected)
    if len(values) > record.hash_threshold > 0:
        digest = hashlib.md5("".join(f"{v}\n" for v in values).encode()).hexdigest()
        values = [f"{len(values)} values hashing to {digest}"]
    return None if values == expected else f"got {values[:8]}, expected {expected[:8]}"


def _values(result, record):
    writers = [_WRITERS[code] for code in record.types]
    rows = [
        [write(result.get_value(i, j)) for j, write in enumerate(writers)]
        for i in range(result.ntuples)
    ]
    if record.sort == "rowsort":
        rows.sort()
    values = [value for row in rows for value in row]
    return sorted(values) if record.sort == "valuesort" else values


def _integer(raw):
    if raw is None:
        return "NULL"
    if raw in (b"t", b"f"):
        return str(int(raw == b"t"))
    try:
        return str(int(Decimal(raw.decode())))
    except ArithmeticError:
        return "0"  # as C's atoi, which the files were made with


def _real(raw):
    return "NULL" if raw is None else f"{Decimal(raw.decode()):.3f}"


def _text(raw):
    if raw is None:
        return "NULL"
    if not raw:
        return "(empty)"
    return "".join(c if " " <= c <= "~" else "@" for c in raw.decode())


_WRITERS = {"I": _integer, "R": _real, "T": _text}
