"""Decoded columns of stored rows as Arrow arrays of the physical types, without Python per row.

numeric columns become DECIMAL where every value has the same scale; NaN, infinities and mixed
scales make the column text.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow
import pyarrow.compute

from kvapi.row_columns import Column, FixedColumn, VarColumn
from kvapi.row_layout import DEC64_NAN, StorageKind
from pgwire.codecs.numerics import numeric_out
from pgwire.datum import (
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    UNIX_TO_PG_DAYS,
    UNIX_TO_PG_MICROS,
)
from pgwire.errors import FeatureNotSupported
from sqlnode.types import SqlType
from sqlnode.vecexec.numeric_forms import TEXT_FORM, column_form
from sqlnode.vecexec.physical import NUMERIC_OID, PRECISION_MAX, Physical, fixed, physical_of

pa: Any = pyarrow  # its stubs do not know buffers of NumPy
pc: Any = pyarrow.compute
_DATE: Final = 1082
_TIME: Final = 1083
_TIMESTAMPS: Final = (1114, 1184)
_MDN: Final = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanos", "<i8")])
_NANOS_MICROS_MAX: Final = (2**63 - 1) // 1000


def to_arrow_column(column: Column, sql_type: SqlType) -> Any:
    """Return one block's column as an Arrow array; numeric stays as stored (see finish_column)."""
    if isinstance(column, VarColumn):
        return _variable(column)
    oid = sql_type.oid
    if column.kind is StorageKind.DEC64:
        return _decimals(column, sql_type)
    if column.kind is StorageKind.UUID:
        storage = _from_buffer(pa.binary(16), column.values, column.nulls)
        return pa.ExtensionArray.from_storage(pa.uuid(), storage)
    if column.kind is StorageKind.INTERVAL:
        return _intervals(column)
    if oid == _DATE:
        return _from_buffer(pa.date32(), _shifted_dates(column.values), column.nulls)
    if oid in _TIMESTAMPS:
        return _from_buffer(pa.timestamp("us"), _shifted_times(column.values), column.nulls)
    if oid == _TIME:
        return _from_buffer(pa.time64("us"), column.values, column.nulls)
    return pa.array(column.values, mask=column.nulls)


def finish_column(chunks: list[Any], sql_type: SqlType) -> tuple[Any, Physical]:
    """Join the chunks of a column and choose its form."""
    if sql_type.oid != NUMERIC_OID:
        form = physical_of(sql_type)
        return pa.chunked_array(chunks, type=None if chunks else form.arrow), form
    if not chunks:
        return pa.chunked_array([], type=pa.string()), TEXT_FORM
    if all(pa.types.is_decimal(chunk.type) for chunk in chunks):
        return pa.chunked_array(chunks), column_form(sql_type)
    texts = pa.chunked_array([_as_text(chunk) for chunk in chunks], type=pa.large_string())
    return _numeric_texts(texts)


def _validity(nulls: Any) -> Any:
    return None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))


def _from_buffer(arrow: Any, values: Any, nulls: Any) -> Any:
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(arrow, len(values), [_validity(nulls), data])


def _variable(column: VarColumn) -> Any:
    arrow = pa.large_binary() if column.kind is StorageKind.BYTES else pa.large_string()
    buffers = [_validity(column.nulls), pa.py_buffer(column.offsets), pa.py_buffer(column.data)]
    return pa.Array.from_buffers(arrow, len(column.offsets) - 1, buffers)


def _shifted_dates(values: Any) -> Any:
    high, low = values == DATE_INFINITY, values == DATE_NEG_INFINITY
    shifted = values + np.int32(UNIX_TO_PG_DAYS)
    if high.any() or low.any():
        shifted[high] = DATE_INFINITY
        shifted[low] = -DATE_INFINITY
    return shifted


def _shifted_times(values: Any) -> Any:
    high, low = values == TIMESTAMP_INFINITY, values == TIMESTAMP_NEG_INFINITY
    if ((values > TIMESTAMP_INFINITY - UNIX_TO_PG_MICROS) & ~high).any():
        raise FeatureNotSupported("timestamps after the year 294246 are not supported here")
    with np.errstate(over="ignore"):
        shifted = values + np.int64(UNIX_TO_PG_MICROS)
    if high.any() or low.any():
        shifted[high] = TIMESTAMP_INFINITY
        shifted[low] = -TIMESTAMP_INFINITY
    return shifted


def _intervals(column: FixedColumn) -> Any:
    micros = column.values["micros"]
    if len(micros) and int(np.abs(micros).max()) > _NANOS_MICROS_MAX:
        raise FeatureNotSupported("intervals of more than 2562047 hours are not supported here")
    out = np.empty(len(micros), _MDN)
    out["months"], out["days"] = column.values["months"], column.values["days"]
    out["nanos"] = micros * 1000
    return _from_buffer(pa.month_day_nano_interval(), out, column.nulls)


def _decimals(column: FixedColumn, sql_type: SqlType) -> Any:
    form = column_form(sql_type)
    nan = column.values == DEC64_NAN
    if column.nulls is not None:
        nan &= ~column.nulls
    if nan.any() or not form.is_fixed:
        return _decimal_texts(column)
    wide = np.empty((len(column.values), 2), "<i8")
    wide[:, 0] = column.values
    wide[:, 1] = column.values >> 63
    return _from_buffer(form.arrow, wide, column.nulls)


def _decimal_texts(column: FixedColumn) -> Any:
    texts = [
        "NaN" if value == DEC64_NAN else numeric_out(Decimal(value).scaleb(-column.scale))
        for value in column.values.tolist()
    ]
    return pa.array(texts, pa.large_string(), mask=column.nulls)


def _as_text(chunk: Any) -> Any:
    return chunk if not pa.types.is_decimal(chunk.type) else chunk.cast(pa.large_string())


def _numeric_texts(texts: Any) -> tuple[Any, Physical]:
    """Choose DECIMAL for texts that all have one scale and fit; write exponents out otherwise."""
    if pc.any(pc.match_substring(texts, "E")).as_py():
        texts = _each_text(texts, lambda text: numeric_out(Decimal(text)))
    if pc.any(pc.match_substring_regex(texts, "[^-0-9.]")).as_py():
        return texts, TEXT_FORM
    lengths = pc.utf8_length(texts)
    points = pc.find_substring(texts, ".")
    scales = pc.if_else(pc.less(points, 0), 0, pc.subtract(pc.subtract(lengths, points), 1))
    extent = pc.min_max(scales).as_py()
    longest = pc.max(lengths).as_py()
    if longest is None or extent["min"] != extent["max"] or longest > PRECISION_MAX:
        return texts, TEXT_FORM
    form = fixed(longest, extent["max"])
    if form is None:
        return texts, TEXT_FORM
    return texts.cast(form.arrow), form


def _each_text(texts: Any, change: Callable[[str], str]) -> Any:
    changed = [None if text is None else change(text) for text in texts.to_pylist()]
    return pa.chunked_array([pa.array(changed, pa.large_string())])
