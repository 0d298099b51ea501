"""Which index answers a condition: point reads, index ranges or the whole table.

**Model.** Conjuncts of the form `column op value` are *terms*; the value may use parameters and the
columns of an outer row, never the table's own. An index is as good as the number of its leading
columns that are bound by `=` (or IN), then a range on the next one, then whether it gives the
wanted order. What a path uses up is exact, the rest of the condition remains a filter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvapi.layout import PRIMARY_INDEX_ID
from sqlnode.plan.logical import Scan
from sqlnode.plan.scalar import AnyAll, Call, ColumnRef, InList, Scalar, SortKey
from sqlnode.rowexec.conditions import (
    COMMUTED,
    column_ids,
    comparison_symbol,
    is_repeatable,
    key_class,
    without_order_preserving_casts,
)
from sqlnode.rowexec.index_codec import IndexCodec
from sqlnode.rowexec.table_codec import TableCodec, codec_of
from sqlnode.types import element_of

_LOWER: Final = (">", ">=")
_UPPER: Final = ("<", "<=")


@dataclass(frozen=True, slots=True)
class Term:
    """A conjunct that an index can use. symbol: = < <= > >=, `in` (values), `any` (one array)."""

    attnum: int
    symbol: str
    values: tuple[Scalar, ...]
    conjunct: Scalar

    @property
    def is_equality(self) -> bool:
        return self.symbol in ("=", "in", "any")


@dataclass(frozen=True, slots=True)
class AccessPath:
    """One index, how its leading columns are bound, and what is left to filter."""

    index: IndexCodec
    equal: tuple[Term, ...]
    low: Term | None
    high: Term | None
    residual: tuple[Scalar, ...]
    is_ordered: bool  # gives the wanted order
    reverse: bool

    @property
    def is_point(self) -> bool:
        """Every column of a unique index is bound: at most one row for each combination."""
        return self.index.desc.unique and len(self.equal) == len(self.index.attnums)

    @property
    def is_full_scan(self) -> bool:
        return not self.equal and self.low is None and self.high is None


def terms_of(scan: Scan, condition: Sequence[Scalar]) -> list[Term]:
    """Return the conjuncts that compare a column of `scan` with something that does not need it."""
    columns = {column.id: column for column in scan.columns}
    found = (_term(columns, conjunct) for conjunct in condition)
    return [term for term in found if term is not None]


def _term(columns: dict, conjunct: Scalar) -> Term | None:  # type: ignore[type-arg] # id → OutColumn
    match conjunct:
        case Call(function=function, args=(left, right)):
            symbol = comparison_symbol(function)
            if symbol is None:
                return None
            return _bound(columns, left, symbol, (right,), conjunct) or _bound(
                columns, right, COMMUTED[symbol], (left,), conjunct
            )
        case InList(negated=False) if comparison_symbol(conjunct.equals) == "=":
            return _bound(columns, conjunct.arg, "in", conjunct.items, conjunct)
        case AnyAll(is_all=False) if comparison_symbol(conjunct.function) == "=":
            return _bound(columns, conjunct.arg, "any", (conjunct.array,), conjunct)
    return None


def _bound(
    columns: dict,  # type: ignore[type-arg] # id → OutColumn
    side: Scalar,
    symbol: str,
    values: tuple[Scalar, ...],
    conjunct: Scalar,
) -> Term | None:
    side = without_order_preserving_casts(side)
    if not isinstance(side, ColumnRef) or side.id not in columns:
        return None
    column = columns[side.id]
    for value in values:
        value_type = element_of(value.type) if symbol == "any" else value.type
        if value_type is None or key_class(value_type.oid) != key_class(column.type.oid):
            return None
        if not column_ids(value).isdisjoint(columns) or not is_repeatable(value):
            return None
    return Term(column.attnum, symbol, values, conjunct)


def choose_path(
    scan: Scan, condition: Sequence[Scalar], order: Sequence[SortKey], *, has_limit: bool
) -> AccessPath:
    """Return the best path for the rows of `scan` that meet `condition`, in `order` if it can."""
    codec = codec_of(scan.table)
    terms = terms_of(scan, condition)
    paths = [
        _path(scan, index, terms, condition, order) for index in (codec.primary, *codec.indexes)
    ]
    return max(paths, key=lambda path: _score(path, codec, has_limit))


def _score(path: AccessPath, codec: TableCodec, has_limit: bool) -> tuple[int, ...]:
    is_primary = path.index is codec.primary
    has_range = (path.low is not None) + (path.high is not None)
    is_ordered = path.is_ordered
    tail = (is_ordered, has_range) if has_limit else (has_range, is_ordered)
    point = path.is_point * (2 if is_primary else 1)
    # An unbound index costs a read per row; only an order under LIMIT is worth that.
    useful = is_primary or bool(path.equal) or has_range > 0 or (is_ordered and has_limit)
    return (point, int(useful), len(path.equal), *map(int, tail), int(is_primary))


def _path(
    scan: Scan,
    index: IndexCodec,
    terms: list[Term],
    condition: Sequence[Scalar],
    order: Sequence[SortKey],
) -> AccessPath:
    equal: list[Term] = []
    for attnum in index.attnums:
        term = next((t for t in terms if t.attnum == attnum and t.is_equality), None)
        if term is None:
            break
        equal.append(term)
    low = high = None
    if len(equal) < len(index.attnums):
        ranged = [t for t in terms if t.attnum == index.attnums[len(equal)]]
        low = next((t for t in ranged if t.symbol in _LOWER), None)
        high = next((t for t in ranged if t.symbol in _UPPER), None)
    used = {id(t.conjunct) for t in (*equal, low, high) if t is not None}
    residual = tuple(part for part in condition if id(part) not in used)
    forward, backward = _directions(scan, index, equal, order)
    return AccessPath(
        index, tuple(equal), low, high, residual, forward or backward, backward and not forward
    )


def _directions(
    scan: Scan, index: IndexCodec, equal: list[Term], order: Sequence[SortKey]
) -> tuple[bool, bool]:
    """Tell whether the index gives `order` read forward, and read backward."""
    if not order or any(term.symbol != "=" for term in equal):
        return False, False
    attnum_of = {column.id: column.attnum for column in scan.columns}
    fixed = {term.attnum for term in equal}
    remaining = list(zip(index.desc.columns, index.attnums, strict=True))[len(equal) :]
    forward = backward = True
    for key in order:
        node = without_order_preserving_casts(key.scalar)
        attnum = attnum_of.get(node.id) if isinstance(node, ColumnRef) else None
        if attnum in fixed:
            continue
        if attnum is None or not remaining or remaining[0][1] != attnum:
            # All columns of a unique index spent: what follows cannot change the order.
            spent = not remaining and index.desc.index_id == PRIMARY_INDEX_ID
            return (forward, backward) if spent else (False, False)
        column, _ = remaining.pop(0)
        not_null = scan.table.column(attnum).not_null
        same_nulls = not_null or column.nulls_first == key.nulls_first
        forward &= column.descending == key.descending and same_nulls
        other_nulls = not_null or column.nulls_first != key.nulls_first
        backward &= column.descending != key.descending and other_nulls
    return forward, backward
