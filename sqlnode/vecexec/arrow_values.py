"""Datums to Arrow and back, whole columns at a time.

Arrow and DuckDB count dates and timestamps from 1970 and mark infinity their own way; datums
follow PostgreSQL (`pgwire/datum.py`).
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pgwire.codecs.numerics import numeric_out
from pgwire.datum import (
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    UNIX_TO_PG_DAYS,
    UNIX_TO_PG_MICROS,
    Interval,
    Record,
)
from pgwire.errors import FeatureNotSupported
from sqlnode.vecexec.physical import NUMERIC_OID, RECORD_OID, Physical

DUCK_DATE_INFINITY: Final = 2**31 - 1
DUCK_TIMESTAMP_INFINITY: Final = 2**63 - 1
_DATE: Final = 1082
_TIMESTAMPS: Final = frozenset((1114, 1184))
_NUMPY_OIDS: Final = frozenset((20, 21, 23, 24, 26, 28, 29, 700, 701, 2202, 2205, 2206, 4089, 4096))

Column = list[Any]


def to_datums(array: Any, physical: Physical) -> Column:
    """Return an Arrow array of `physical` as a list of datums."""
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # combine_chunks of no chunk at all
            return []
    if pa.types.is_null(array.type):
        return [None] * len(array)
    oid = physical.type.oid
    if physical.element is not None:
        return _lists(array, physical.element)
    if oid == RECORD_OID:
        return _records(array, physical)
    if oid in _NUMPY_OIDS:
        return array.to_numpy().tolist() if array.null_count == 0 else array.to_pylist()
    convert = _FROM_ARROW.get(oid)
    if convert is not None:
        return convert(array)
    if oid == NUMERIC_OID and not physical.is_fixed:
        return [None if text is None else Decimal(text) for text in array.to_pylist()]
    return array.to_pylist()


def _shifted(array: Any, shift: int, dtype: type, infinity: int, low: int) -> Column:
    """Read 32- or 64-bit counts, shift the epoch, keep both infinities."""
    storage = pa.int32() if dtype is np.int32 else pa.int64()
    values = array.cast(storage) if array.type != storage else array
    raw = values.fill_null(0).to_numpy() if values.null_count else values.to_numpy()
    shifted = raw.astype(np.int64)
    special = (raw == infinity) | (raw == -infinity)
    with np.errstate(over="ignore"):
        moved = shifted - shift
    if special.any():
        moved = np.where(special, np.where(raw == infinity, infinity, low), moved)
    out = moved.tolist()
    if array.null_count:
        for index in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            out[index] = None
    return out


def _dates(array: Any) -> Column:
    return _shifted(array, UNIX_TO_PG_DAYS, np.int32, DATE_INFINITY, DATE_NEG_INFINITY)


def _timestamps(array: Any) -> Column:
    return _shifted(array, UNIX_TO_PG_MICROS, np.int64, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY)


def _times(array: Any) -> Column:
    return array.cast(pa.int64()).to_pylist()


def _intervals(array: Any) -> Column:
    return [
        None if parts is None else Interval(parts[0], parts[1], parts[2] // 1000)
        for parts in array.to_pylist()
    ]


def _uuids(array: Any) -> Column:
    return [
        None if text is None else bytes.fromhex(text.replace("-", "")) for text in array.to_pylist()
    ]


_FROM_ARROW: Final[dict[int, Callable[[Any], Column]]] = {
    _DATE: _dates,
    1083: _times,
    1114: _timestamps,
    1184: _timestamps,
    1186: _intervals,
    2950: _uuids,
}


def _lists(array: Any, element: Physical) -> Column:
    """Read LIST: the flat values once, cut at the offsets."""
    flat = to_datums(array.values, element)
    offsets = array.offsets.to_numpy().tolist()
    valid = array.is_valid().to_pylist() if array.null_count else None
    return [
        flat[offsets[i] : offsets[i + 1]] if valid is None or valid[i] else None
        for i in range(len(array))
    ]


def _records(array: Any, physical: Physical) -> Column:
    oids = tuple(field.type.oid for field in physical.fields)
    columns = [to_datums(array.field(i), field) for i, field in enumerate(physical.fields)]
    rows = [Record.of(values, oids) for values in zip(*columns, strict=True)]
    if not array.null_count:
        return rows
    return [
        row if valid else None
        for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)
    ]


def to_arrow(datums: Sequence[Any], physical: Physical) -> Any:
    """Return datums as an Arrow array of `physical`. Raises: FeatureNotSupported."""
    try:
        return pa.array([_storable(datum, physical) for datum in datums], physical.arrow)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        # An array of more dimensions, or a time that the engine cannot count.
        raise FeatureNotSupported(
            f"a value of type {physical.type} is not supported in this query"
        ) from error


def _storable(datum: Any, physical: Physical) -> Any:
    if datum is None:
        return None
    oid = physical.type.oid
    if physical.element is not None:
        return [_storable(item, physical.element) for item in datum]
    if physical.fields:
        pairs = enumerate(zip(datum, physical.fields, strict=True))
        return {f"f{i}": _storable(item, field) for i, (item, field) in pairs}
    convert = _TO_ARROW.get(oid)
    if convert is not None:
        return convert(datum)
    if oid == NUMERIC_OID and not physical.is_fixed:
        return numeric_out(datum)
    return datum


def duck_date(days: int) -> int:
    """Return a date datum as DuckDB counts it."""
    if days in (DATE_INFINITY, DATE_NEG_INFINITY):
        return DUCK_DATE_INFINITY if days > 0 else -DUCK_DATE_INFINITY
    return days + UNIX_TO_PG_DAYS


def duck_timestamp(micros: int) -> int:
    """Return a timestamp datum as DuckDB counts it."""
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return DUCK_TIMESTAMP_INFINITY if micros > 0 else -DUCK_TIMESTAMP_INFINITY
    return micros + UNIX_TO_PG_MICROS


def uuid_text(value: bytes) -> str:
    """Write 16 bytes as DuckDB reads a UUID."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_TO_ARROW: Final[dict[int, Callable[[Any], Any]]] = {
    _DATE: duck_date,
    1114: duck_timestamp,
    1184: duck_timestamp,
    1186: lambda value: (value[0], value[1], value[2] * 1000),
    2950: uuid_text,
}
