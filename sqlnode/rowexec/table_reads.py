"""Reading a table through an access path: points, spans, and index entries that lead to rows."""

from collections.abc import Sequence
from contextlib import aclosing
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from kvapi.spans import Span
from pgwire.errors import ProgramLimitExceeded
from sqlnode.rowexec.access_path import AccessPath, Term
from sqlnode.rowexec.evals import Eval, Layout, Row
from sqlnode.rowexec.index_codec import SecondaryIndexCodec
from sqlnode.rowexec.node import Batches, Run
from sqlnode.rowexec.scalars import compile_scalar, flattened
from sqlnode.rowexec.table_codec import Decode

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_COMBINATIONS_MAX: Final = 100_000


class BoundTerms:
    """An access path's values, compiled over the outer row: gives keys or spans."""

    def __init__(self, path: AccessPath, outer: Layout) -> None:
        self.index = path.index
        self._equal = [(t.symbol, [compile_scalar(v, outer) for v in t.values]) for t in path.equal]
        self._low, self._high = _bound(path.low, outer), _bound(path.high, outer)
        self._single: list[Eval] | None = None
        if all(symbol == "=" for symbol, _ in self._equal):
            self._single = [values[0] for _, values in self._equal]

    def combinations(self, row: Row, ctx: "ExecContext") -> list[tuple[Any, ...]]:
        """Return the values of the equal columns: distinct, without NULLs, in key order."""
        if self._single is not None:
            datums = tuple([value(row, ctx) for value in self._single])
            return [] if None in datums else [datums]
        choices = [_choices(symbol, values, row, ctx) for symbol, values in self._equal]
        count = 1
        for choice in choices:
            count *= len(choice)
        if count > _COMBINATIONS_MAX:
            raise ProgramLimitExceeded("too many combinations of IN lists")
        encode = self.index.encode
        distinct = {encode(datums): datums for datums in product(*choices)}
        return [distinct[key] for key in sorted(distinct)]

    def keys(self, row: Row, ctx: "ExecContext") -> list[bytes]:
        """Return the keys of a point path."""
        index = self.index
        return [index.key(datums) for datums in self.combinations(row, ctx)]

    def spans(self, row: Row, ctx: "ExecContext") -> list[Span]:
        """Return the spans to read, in key order; none if a bound is NULL."""
        index, low, high = self.index, None, None
        if self._low is not None:
            low = (self._low[0](row, ctx), self._low[1])
        if self._high is not None:
            high = (self._high[0](row, ctx), self._high[1])
        if (low and low[0] is None) or (high and high[0] is None):
            return []
        if not self._equal and low is None and high is None:
            return [index.span]
        combinations = self.combinations(row, ctx)
        if low is None and high is None:
            return [index.prefix_span(datums) for datums in combinations]
        spans = [index.range_span(datums, low, high) for datums in combinations]
        return [span for span in spans if not span.is_empty()]


def _bound(term: Term | None, outer: Layout) -> tuple[Eval, bool] | None:
    if term is None:
        return None
    return compile_scalar(term.values[0], outer), "=" in term.symbol


def _choices(symbol: str, values: list[Eval], row: Row, ctx: "ExecContext") -> list[Any]:
    datums: Sequence[Any] = [value(row, ctx) for value in values]
    if symbol == "any":
        datums = flattened(datums[0]) if datums[0] is not None else ()
    return [datum for datum in datums if datum is not None]


class TableReader:
    """Fetches the rows of one access path, decoded."""

    def __init__(self, path: AccessPath, decode: Decode, outer: Layout) -> None:
        self.path = path
        self.terms = BoundTerms(path, outer)
        self._decode = decode

    async def points(self, rows: Sequence[Row], run: Run) -> list[list[tuple[Any, ...]]]:
        """Return the rows found for each outer row of a point path, in one or two round trips."""
        keys_of = [self.terms.keys(row, run.ctx) for row in rows]
        found = await self.fetch(list(dict.fromkeys(k for keys in keys_of for k in keys)), run)
        return [[found[key] for key in keys if key in found] for keys in keys_of]

    async def fetch(self, keys: list[bytes], run: Run) -> dict[bytes, tuple[Any, ...]]:
        """Return the rows behind the keys of a unique index; absent ones are left out."""
        values = await read_many(keys, run)
        index = self.path.index
        if isinstance(index, SecondaryIndexCodec):
            owners = {
                key: index.row_key(key, value)
                for key, value in zip(keys, values, strict=True)
                if value is not None
            }
            keys, values = list(owners), await read_many(list(owners.values()), run)
        decode = self._decode
        return {
            key: decode(value) for key, value in zip(keys, values, strict=True) if value is not None
        }

    async def rows_of(self, keys: list[bytes], run: Run) -> list[tuple[Any, ...]]:
        """Return the rows behind distinct keys of a unique index, in their order."""
        if isinstance(self.path.index, SecondaryIndexCodec):
            return list((await self.fetch(keys, run)).values())
        decode = self._decode
        return [decode(value) for value in await read_many(keys, run) if value is not None]

    async def scan(self, row: Row, run: Run, limit: int) -> Batches:
        """Yield the rows of a span path for one outer row, in the path's direction."""
        spans = self.terms.spans(row, run.ctx)
        reverse = self.path.reverse
        for span in reversed(spans) if reverse else spans:
            wanted = run.read_limit(limit)
            blocks = run.ctx.txn.scan_blocks(span, reverse=reverse, limit_rows=wanted)
            async with aclosing(blocks):
                async for block in blocks:
                    yield await self._rows(block, run)
                    run.spend(block.row_count)  # afterwards: a LIMIT may have been met by these

    async def _rows(self, block: Any, run: Run) -> list[tuple[Any, ...]]:
        index, decode = self.path.index, self._decode
        if not isinstance(index, SecondaryIndexCodec):
            return [decode(value) for value in block.values_list()]
        keys = [index.row_key(key, value) for key, value in block.rows()]
        values = await read_many(keys, run)
        return [decode(value) for value in values if value is not None]


async def read_many(keys: list[bytes], run: Run) -> list[bytes | None]:
    """Return the values of `keys`; one key is a Get, more are one MultiGet."""
    if len(keys) == 1:
        return [await run.ctx.txn.get(keys[0])]
    if not keys:
        return []
    return await run.ctx.txn.multi_get(keys)
