"""ADD CONSTRAINT (CHECK, FOREIGN KEY), VALIDATE CONSTRAINT and SET NOT NULL online.

**Model.** The constraint is first *enforced*: every new or changed row must meet it. When nobody
works with a catalog without it any more, the older rows are looked at in chunks. Then it is marked
valid, or what was begun is taken back with the error of the first row that breaks it.

    ADD             enforced ── look ──► valid         error, cancel ──► gone
    ADD NOT VALID   enforced ──► not valid                    cancel ──► gone
    VALIDATE        enforced ── look ──► valid         error, cancel ──► not valid
"""

from collections.abc import Sequence

import msgspec

from pgwire.codecs.registry import text_out
from pgwire.errors import (
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UndefinedObject,
)
from sqlnode.catalog.descriptors import CheckDesc, ColumnDesc, ForeignKeyDesc, TableDesc
from sqlnode.catalog.store import CatalogEditor
from sqlnode.catalog.table_parts import Part, with_part
from sqlnode.jobs.background import background_context
from sqlnode.jobs.record import JobKind, JobStatus
from sqlnode.jobs.work import Chunk, JobWork, Row
from sqlnode.plan.bind import bind_expression
from sqlnode.plan.logical import OutColumn
from sqlnode.rowexec.evals import Eval
from sqlnode.rowexec.foreign_keys import ForeignKey
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.types import BOOL


class AddConstraint:
    """The states of one constraint that is being added."""

    def __init__(self, work: JobWork) -> None:
        self._work = work
        self._part = work.handle.record.part
        self._kind = work.handle.record.kind
        self._looks = self._kind is not JobKind.ADD_NOT_VALID
        self._condition: tuple[TableDesc, Eval] | None = None

    async def run(self) -> None:
        """Carry on until it is valid. Raises: SqlError, JobLost, JobCancelled, KvError."""
        work = self._work
        await work.wait()  # from now on every writer enforces it
        if self._looks:
            await work.walk(self._look)
        await work.step(
            self._finish,
            step="valid" if self._looks else "not valid",
            status=JobStatus.SUCCEEDED,
            finished_ms=work.handle.now_ms(),
        )

    async def revert(self, status: JobStatus) -> None:
        """Leave things as they were before. Raises: JobLost, KvError."""
        await self._work.step(
            self._take_back, status=status, finished_ms=self._work.handle.now_ms()
        )

    # --- steps --------------------------------------------------------------------------------

    def _finish(self, editor: CatalogEditor) -> None:
        table, part = self._find(editor.catalog.by_id.get(self._work.handle.record.table_id))
        if isinstance(part, ColumnDesc):
            after: Part = msgspec.structs.replace(part, not_null=True, refuses_null=False)
        else:
            after = msgspec.structs.replace(part, validated=self._looks, in_job=False)
        editor.put(with_part(table, part, after))

    def _take_back(self, editor: CatalogEditor) -> None:
        try:
            table, part = self._find(editor.catalog.by_id.get(self._work.handle.record.table_id))
        except UndefinedObject:
            return  # dropped meanwhile
        after: tuple[Part, ...] = ()
        if isinstance(part, ColumnDesc):
            after = (msgspec.structs.replace(part, refuses_null=False),)
        elif self._kind is JobKind.VALIDATE_CONSTRAINT:
            after = (msgspec.structs.replace(part, in_job=False),)
        editor.put(with_part(table, part, *after))

    def _find(self, table: object) -> tuple[TableDesc, Part]:
        """Return table and constraint. Raises: UndefinedObject if they were dropped meanwhile."""
        if isinstance(table, TableDesc):
            parts: Sequence[Part] = table.row_constraints
            if self._kind is JobKind.SET_NOT_NULL:
                parts = table.columns
            for part in parts:
                if self._part == (part.attnum if isinstance(part, ColumnDesc) else part.oid):
                    return table, part
        raise UndefinedObject("the constraint was dropped while it was being validated")

    # --- validation ---------------------------------------------------------------------------

    async def _look(self, chunk: Chunk) -> None:
        _, part = self._find(chunk.codec.table)
        match part:
            case ColumnDesc():
                self._look_for_nulls(chunk, part)
            case CheckDesc():
                self._look_at_check(chunk, part)
            case ForeignKeyDesc():
                await self._look_for_parents(chunk, part)

    def _look_for_nulls(self, chunk: Chunk, column: ColumnDesc) -> None:
        position = chunk.codec.position_of[column.attnum]
        if any(row[position] is None for row in chunk.rows):
            table = chunk.codec.table
            raise NotNullViolation(
                f'column "{column.name}" of relation "{table.name}" contains null values',
                table_name=table.name,
                column_name=column.name,
            )

    def _look_at_check(self, chunk: Chunk, check: CheckDesc) -> None:
        table = chunk.codec.table
        if self._condition is None or self._condition[0] is not table:
            self._condition = (table, self._compiled(table, check))
        condition = self._condition[1]
        context = background_context(self._work.engine, self._work.handle.record.user)
        if any(condition(row, context) is False for row in chunk.rows):
            raise CheckViolation(
                f'check constraint "{check.name}" of relation "{table.name}" is violated '
                "by some row",
                table_name=table.name,
                constraint_name=check.name,
            )

    def _compiled(self, table: TableDesc, check: CheckDesc) -> Eval:
        columns = tuple(
            OutColumn(n, column.name, column.type, table.id, column.attnum)
            for n, column in enumerate(table.columns)
        )
        scalar = bind_expression(
            check.sql,
            columns,
            catalog=self._work.catalog,
            search_path=("public",),
            wanted=BOOL,
            clause="check constraints",
        )
        return compile_scalar(scalar, {n: n for n in range(len(columns))})

    async def _look_for_parents(self, chunk: Chunk, key: ForeignKeyDesc) -> None:
        table = chunk.codec.table
        parent = self._work.catalog.by_id.get(key.target_table_id)
        assert isinstance(parent, TableDesc), "a table that is referenced is not dropped"
        reference = ForeignKey(key, table, parent)
        wanted: dict[bytes, Row] = {}
        for row in chunk.rows:
            values = reference.child_values(row)
            if None not in values:
                wanted[reference.parent_key(values)] = row
            elif key.match_full and any(value is not None for value in values):
                raise _orphan(table, parent, key, row, is_half_null=True)
        if not wanted:
            return
        got = await self._work.kv.multi_get(list(wanted), read_ts=chunk.read_ts, **chunk.planned)
        for row, value in zip(wanted.values(), got.values, strict=True):
            if value is None:
                raise _orphan(table, parent, key, row)


def _orphan(
    table: TableDesc,
    parent: TableDesc,
    key: ForeignKeyDesc,
    row: Row,
    *,
    is_half_null: bool = False,
) -> ForeignKeyViolation:
    position_of = codec_of(table).position_of
    columns = [table.column(attnum) for attnum in key.columns]
    values = [
        "null"
        if (datum := row[position_of[c.attnum]]) is None
        else text_out(c.type_oid)(datum, None)
        for c in columns
    ]
    names = ", ".join(column.name for column in columns)
    detail = f'Key ({names})=({", ".join(values)}) is not present in table "{parent.name}".'
    if is_half_null:
        detail = "MATCH FULL does not allow mixing of null and nonnull key values."
    return ForeignKeyViolation(
        f'insert or update on table "{table.name}" violates foreign key constraint "{key.name}"',
        detail=detail,
        table_name=table.name,
        constraint_name=key.name,
    )
