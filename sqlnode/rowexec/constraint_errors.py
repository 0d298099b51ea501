"""The errors of broken constraints, in PostgreSQL's words.

Source: PostgreSQL, execMain.c (ExecConstraints, ExecBuildSlotValueDescription), nbtinsert.c,
ri_triggers.c (ri_ReportViolation).
"""

from collections.abc import Sequence
from typing import Any, Final

from kvapi.layout import parse_index_prefix
from pgwire.codecs.registry import text_output
from pgwire.codecs.settings import Settings
from pgwire.errors import (
    CardinalityViolation,
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from sqlnode.catalog.descriptors import (
    PUBLIC_SCHEMA_ID,
    ColumnDesc,
    ForeignKeyDesc,
    SchemaDesc,
    TableDesc,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.rowexec.coercion import coercion
from sqlnode.rowexec.index_codec import IndexCodec
from sqlnode.rowexec.table_codec import codec_of

_SHOWN_BYTES_MAX: Final = 64


def _text(column: ColumnDesc, datum: Any, settings: Settings) -> str:
    return "null" if datum is None else text_output(column.type_oid, settings)(datum)


def _clipped(text: str) -> str:
    data = text.encode()
    if len(data) <= _SHOWN_BYTES_MAX:
        return text
    return data[:_SHOWN_BYTES_MAX].decode(errors="ignore") + "..."


def failing_row(table: TableDesc, row: Sequence[Any], settings: Settings) -> str:
    """Return the detail that shows a row: Failing row contains (1, null)."""
    shown = [
        _clipped(_text(column, datum, settings))
        for column, datum in zip(table.columns, row, strict=True)
        if not column.hidden
    ]
    return f"Failing row contains ({', '.join(shown)})."


def schema_name(catalog: Catalog, table: TableDesc) -> str:
    """Return the name of a table's schema."""
    schema = catalog.by_id.get(table.schema_id)
    if isinstance(schema, SchemaDesc):
        return schema.name
    return "public" if table.schema_id == PUBLIC_SCHEMA_ID else ""


class ConstraintErrors:
    """Builds the errors of one table under a statement's catalog and settings."""

    def __init__(self, table: TableDesc, catalog: Catalog, settings: Settings) -> None:
        self._table = table
        self._catalog = catalog
        self._settings = settings

    def _where(self) -> dict[str, Any]:
        return {
            "schema_name": schema_name(self._catalog, self._table),
            "table_name": self._table.name,
        }

    def not_null(self, column: ColumnDesc, row: Sequence[Any]) -> NotNullViolation:
        """Build 23502."""
        return NotNullViolation(
            f'null value in column "{column.name}" of relation "{self._table.name}" '
            "violates not-null constraint",
            detail=failing_row(self._table, row, self._settings),
            column_name=column.name,
            **self._where(),
        )

    def check(self, name: str, row: Sequence[Any]) -> CheckViolation:
        """Build 23514."""
        return CheckViolation(
            f'new row for relation "{self._table.name}" violates check constraint "{name}"',
            detail=failing_row(self._table, row, self._settings),
            constraint_name=name,
            **self._where(),
        )

    def unique(self, index: IndexCodec, values: Sequence[Any]) -> UniqueViolation:
        """Build 23505; `values` are the index columns."""
        return UniqueViolation(
            f'duplicate key value violates unique constraint "{index.desc.name}"',
            detail=f"Key {self._key(index.attnums, values)} already exists.",
            constraint_name=index.desc.name,
            **self._where(),
        )

    def missing_parent(
        self, key: ForeignKeyDesc, values: Sequence[Any], parent: TableDesc
    ) -> ForeignKeyViolation:
        """Build 23503 for a row that references nothing."""
        return ForeignKeyViolation(
            f'insert or update on table "{self._table.name}" violates foreign key '
            f'constraint "{key.name}"',
            detail=f'Key {self._key(key.columns, values)} is not present in table "{parent.name}".',
            constraint_name=key.name,
            **self._where(),
        )

    def half_null(self, key: ForeignKeyDesc) -> ForeignKeyViolation:
        """Build 23503 for MATCH FULL."""
        return ForeignKeyViolation(
            f'insert or update on table "{self._table.name}" violates foreign key '
            f'constraint "{key.name}"',
            detail="MATCH FULL does not allow mixing of null and nonnull key values.",
            constraint_name=key.name,
            **self._where(),
        )

    def still_referenced(
        self, key: ForeignKeyDesc, values: Sequence[Any], child: TableDesc
    ) -> ForeignKeyViolation:
        """Build 23503 for a row of this table that rows of `child` need."""
        return ForeignKeyViolation(
            f'update or delete on table "{self._table.name}" violates foreign key '
            f'constraint "{key.name}" on table "{child.name}"',
            detail=f"Key {self._key(key.target_columns, values)} is still referenced from "
            f'table "{child.name}".',
            constraint_name=key.name,
            schema_name=schema_name(self._catalog, child),
            table_name=child.name,
        )

    def _key(self, attnums: Sequence[int], values: Sequence[Any]) -> str:
        columns = [self._table.column(attnum) for attnum in attnums]
        names = ", ".join(column.name for column in columns)
        texts = (_text(c, v, self._settings) for c, v in zip(columns, values, strict=True))
        return f"({names})=({', '.join(texts)})"


def affects_row_twice() -> CardinalityViolation:
    """Build 21000 of ON CONFLICT DO UPDATE."""
    return CardinalityViolation(
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
        hint="Ensure that no rows proposed for insertion within the same command have "
        "duplicate constrained values.",
    )


def duplicate_key(key: bytes, catalog: Catalog, settings: Settings) -> UniqueViolation:
    """Build 23505 from the key that a commit found to exist."""
    found = parse_index_prefix(key)
    table = None
    if found is not None:
        table = next((t for t in catalog.tables() if t.key_id == found[0]), None)
    if table is None or found is None:
        return UniqueViolation("duplicate key value violates unique constraint")
    index = codec_of(table).index(found[1])
    values = [
        _as_stored(table.column(attnum), datum)
        for attnum, datum in zip(index.attnums, index.decode(key), strict=True)
    ]
    return ConstraintErrors(table, catalog, settings).unique(index, values)


def _as_stored(column: ColumnDesc, datum: Any) -> Any:
    """Give a datum from a key back what keys leave out: the padding of char(n), a fixed scale."""
    fit = coercion(column.type, explicit=True)
    return datum if fit is None or datum is None else fit(datum)
