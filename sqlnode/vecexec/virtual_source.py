"""System relations as Arrow tables.

**Model.** The rows of most system relations depend on nothing but the catalog snapshot, and the
same few are asked for again and again: their columns are kept for the newest snapshots. What
depends on the session (settings, activity, information_schema with its database name) or is read
from the store (pg_insula) is made anew each time.

**Concurrency.** Belongs to the process's loop.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.plan.logical import VirtualScan
from sqlnode.vecexec.arrow_values import to_arrow
from sqlnode.vecexec.physical import Physical, physical_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

SNAPSHOTS_MAX: Final = 4
_NEVER_KEPT: Final = ("information_schema.", "pg_insula.")
_OF_SESSION: Final = frozenset(
    {
        "pg_catalog.pg_settings",
        "pg_catalog.pg_stat_activity",
        "pg_catalog.pg_stat_statements",
        "pg_catalog.pg_timezone_names",
    }
)


class _Columns:
    """The rows of one relation, and those of its columns that were asked for as Arrow arrays."""

    __slots__ = ("_arrays", "rows")

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.rows = rows
        self._arrays: dict[int, Any] = {}

    def array(self, attnum: int, form: Physical) -> Any:
        """Return a column by its 1-based position."""
        if (array := self._arrays.get(attnum)) is None:
            array = to_arrow([row[attnum - 1] for row in self.rows], form)
            self._arrays[attnum] = array
        return array


class VirtualCache:
    """System relations of the snapshots used last; a snapshot is known by its identity."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[int, tuple[Catalog, dict[str, _Columns]]] = OrderedDict()

    async def columns(self, relation: str, ctx: "ExecContext") -> _Columns:
        """Return a relation's columns, made now or before."""
        if relation in _OF_SESSION or relation.startswith(_NEVER_KEPT):
            return _Columns(await VIRTUAL[relation].rows(ctx.catalog, ctx))
        known = self._snapshots.get(id(ctx.catalog))
        if known is None:
            known = self._snapshots[id(ctx.catalog)] = (ctx.catalog, {})
            if len(self._snapshots) > SNAPSHOTS_MAX:
                self._snapshots.popitem(last=False)
        self._snapshots.move_to_end(id(ctx.catalog))
        relations = known[1]
        if (columns := relations.get(relation)) is None:
            columns = _Columns(await VIRTUAL[relation].rows(ctx.catalog, ctx))
            relations[relation] = columns
        return columns


_CACHE: Final = VirtualCache()


async def virtual_table(scan: VirtualScan, ctx: "ExecContext") -> tuple[Any, tuple[Physical, ...]]:
    """Return the rows of a system relation: (pyarrow.Table with columns a0…, forms)."""
    columns = await _CACHE.columns(scan.relation, ctx)
    if not scan.columns:
        return pa.table({"none": pa.nulls(len(columns.rows), pa.int8())}), ()
    forms = tuple(physical_of(column.type) for column in scan.columns)
    arrays = {
        f"a{i}": columns.array(column.attnum, form)
        for i, (column, form) in enumerate(zip(scan.columns, forms, strict=True))
    }
    return pa.table(arrays), forms
