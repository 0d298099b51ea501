"""Joins whose inner side is one table reached by an index with values of the outer row.

Point paths fetch the inner rows of a whole outer batch with one MultiGet; spans are read in turn.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from sqlnode.plan.logical import Scan
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.access_path import choose_path
from sqlnode.rowexec.conditions import conjunction
from sqlnode.rowexec.evals import Eval, Row
from sqlnode.rowexec.node import Batches, Node, Run
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.rowexec.table_reads import TableReader


class IndexJoin:
    """Inner or left join: for each outer row the inner rows that meet `condition`.

    Raises: NotRowShape if no index of the inner table is bound by the condition.
    """

    def __init__(
        self, outer: Node, inner: Scan, condition: Sequence[Scalar], *, is_left: bool
    ) -> None:
        width = 1 + max(outer.layout.values(), default=-1)
        self.layout = outer.layout | {c.id: width + n for n, c in enumerate(inner.columns)}
        self._width = width
        path = choose_path(inner, condition, (), has_limit=False)
        if not path.equal:
            raise NotRowShape("join without index")
        decode = codec_of(inner.table).reader([c.attnum for c in inner.columns]).decode
        self._reader = TableReader(path, decode, outer.layout)
        residual = conjunction(path.residual)
        self._filter: Eval | None = None
        if residual is not None:
            self._filter = compile_scalar(residual, self.layout)
        self._outer = outer
        self._nulls = (None,) * len(inner.columns) if is_left else None
        self.is_bounded = outer.is_bounded and path.is_point
        self.is_full_scan = outer.is_full_scan

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield joined rows, in the order of the outer ones."""
        async with aclosing(self._outer.batches(run)) as batches:
            async for outer_rows in batches:
                yield await self._joined(outer_rows, run)

    async def _joined(self, outer_rows: list[Row], run: Run) -> list[Row]:
        matches = await self._matches(outer_rows, run)
        keep, ctx, nulls = self._filter, run.ctx, self._nulls
        joined: list[Row] = []
        for outer, inners in zip(outer_rows, matches, strict=True):
            # A projection may have left the outer row longer than its layout says; never shorter.
            head = tuple(outer[: self._width])
            rows: list[Row] = [head + inner for inner in inners]
            if keep is not None:
                rows = [row for row in rows if keep(row, ctx) is True]
            if not rows and nulls is not None:
                rows = [head + nulls]
            joined += rows
        return joined

    async def _matches(self, outer_rows: list[Row], run: Run) -> list[list[tuple[Any, ...]]]:
        if self._reader.path.is_point:
            run.spend(len(outer_rows))
            return await self._reader.points(outer_rows, run)
        matches = []
        for row in outer_rows:
            found: list[tuple[Any, ...]] = []
            async with aclosing(self._reader.scan(row, run, 0)) as batches:
                async for rows in batches:
                    found += rows
            matches.append(found)
        return matches
