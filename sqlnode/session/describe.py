"""RowDescription's fields of a statement's columns."""

from collections.abc import Sequence
from typing import Final

from pgwire.codecs.rows import resolve_formats
from pgwire.messages import FieldDescription, row_description
from sqlnode.plan.logical import Columns
from sqlnode.planner import Plan

_FORMATS_MAX: Final = 8  # remembered for each plan


def described_columns(columns: Columns, formats: Sequence[int]) -> list[FieldDescription]:
    """Return one field for each column."""
    codes = resolve_formats(formats, len(columns))
    return [
        FieldDescription(
            column.name,
            column.type.oid,
            column.type.info.length,
            column.type.typmod,
            code,
            column.table_oid,
            max(column.attnum, 0),
        )
        for column, code in zip(columns, codes, strict=True)
    ]


def plan_description(plan: Plan, formats: tuple[int, ...]) -> bytes:
    """Return the RowDescription of a plan's own columns, made once for each `formats`."""
    description = plan.descriptions.get(formats)
    if description is None:
        description = row_description(described_columns(plan.columns, formats))
        if len(plan.descriptions) < _FORMATS_MAX:
            plan.descriptions[formats] = description
    return description
