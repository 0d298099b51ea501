"""Accumulators: what an aggregate remembers from row to row. `step` takes a row, `final` ends.

Most skip NULLs, as PostgreSQL's strict transition functions do. Sums of integers and numerics are
exact; sums of floats add in the order of the rows.
"""

import math
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlnode.functions import decimals
from sqlnode.functions.decimals import EXACT, NAN
from sqlnode.functions.floats import overflow


class CountRows:
    """count(*)."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, *_row: Any) -> None:
        self.count += 1

    def final(self) -> int:
        return self.count


class CountValues(CountRows):
    """count(x)."""

    def step(self, *row: Any) -> None:
        if row[0] is not None:
            self.count += 1


class CountPairs(CountRows):
    """regr_count: rows in which both are known."""

    def step(self, *row: Any) -> None:
        if row[0] is not None and row[1] is not None:
            self.count += 1


class Fold:
    """Combine values two by two; NULL for none."""

    def __init__(self, combine: Callable[[Any, Any], Any]) -> None:
        self.combine = combine
        self.value: Any = None

    def step(self, value: Any) -> None:
        if value is not None:
            self.value = value if self.value is None else self.combine(self.value, value)

    def final(self) -> Any:
        return self.value


class Mean:
    """sum and count; `finish(sum, count)` makes the average."""

    def __init__(
        self, combine: Callable[[Any, Any], Any], finish: Callable[[Any, int], Any]
    ) -> None:
        self.fold = Fold(combine)
        self.finish = finish
        self.count = 0

    def step(self, value: Any) -> None:
        if value is not None:
            self.count += 1
            self.fold.step(value)

    def final(self) -> Any:
        return self.finish(self.fold.value, self.count) if self.count else None


class NumericSpread:
    """Variance and standard deviation of integers and numerics, exact until the last division."""

    def __init__(self, *, is_sample: bool, is_root: bool) -> None:
        self.is_sample, self.is_root = is_sample, is_root
        self.count = 0
        self.sum = self.squares = Decimal(0)
        self.has_special = False

    def step(self, value: Decimal | int | None) -> None:
        if value is None:
            return
        number = Decimal(value)
        self.count += 1
        self.has_special |= not number.is_finite()
        self.sum = EXACT.add(self.sum, number)
        self.squares = EXACT.add(self.squares, EXACT.multiply(number, number))

    def final(self) -> Decimal | None:
        if self.count == 0 or (self.is_sample and self.count == 1):
            return None
        if self.has_special:
            return NAN
        count = Decimal(self.count)
        numerator = EXACT.subtract(
            EXACT.multiply(count, self.squares), EXACT.multiply(self.sum, self.sum)
        )
        if numerator <= 0:
            return Decimal(0)
        divisor = EXACT.multiply(count, count - 1 if self.is_sample else count)
        scale = decimals.division_scale(numerator, divisor)
        variance = decimals.quotient(numerator, divisor, scale)
        if not self.is_root:
            return variance
        context = EXACT.copy()
        context.prec = max(variance.adjusted(), 0) + scale + 25
        return decimals.rounded(context.sqrt(variance), scale)


class FloatSpread:
    """Variance and standard deviation of floats, by Youngs and Cramer as float8_accum does."""

    def __init__(self, *, is_sample: bool, is_root: bool) -> None:
        self.is_sample, self.is_root = is_sample, is_root
        self.count = 0
        self.sum = self.deviations = 0.0

    def step(self, value: float | None) -> None:
        if value is None:
            return
        self.count += 1
        before = self.sum
        self.sum += value
        if self.count > 1:
            distance = value * self.count - self.sum
            self.deviations += distance * distance / (self.count * (self.count - 1))
            if math.isinf(self.sum) or math.isinf(self.deviations):
                if not math.isinf(before) and not math.isinf(value):
                    raise overflow()
                self.deviations = math.nan
        elif not math.isfinite(value):
            self.deviations = math.nan

    def final(self) -> float | None:
        if self.count == 0 or (self.is_sample and self.count == 1):
            return None
        variance = self.deviations / (self.count - 1 if self.is_sample else self.count)
        return math.sqrt(variance) if self.is_root else variance


class Regression:
    """The regr_*, corr and covar_* family: running sums of X, Y and their products.

    Source: float8_regr_accum in src/backend/utils/adt/float.c.
    """

    def __init__(self, finish: "Callable[[Regression], float | None]") -> None:
        self.finish = finish
        self.count = 0
        self.sum_x = self.sum_y = self.sxx = self.syy = self.sxy = 0.0

    def step(self, y: float | None, x: float | None) -> None:
        if y is None or x is None:
            return
        x_was_infinite = math.isinf(self.sum_x) or math.isinf(x)
        y_was_infinite = math.isinf(self.sum_y) or math.isinf(y)
        self.count += 1
        self.sum_x += x
        self.sum_y += y
        n = self.count
        if n == 1:
            if not math.isfinite(x):
                self.sxx = self.sxy = math.nan
            if not math.isfinite(y):
                self.syy = self.sxy = math.nan
            return
        dx, dy, scale = x * n - self.sum_x, y * n - self.sum_y, 1.0 / (n * (n - 1))
        self.sxx += dx * dx * scale
        self.syy += dy * dy * scale
        self.sxy += dx * dy * scale
        self._check(x_was_infinite=x_was_infinite, y_was_infinite=y_was_infinite)

    def _check(self, *, x_was_infinite: bool, y_was_infinite: bool) -> None:
        """Finite inputs that overflow are an error, infinite ones make the sums unknown."""
        x_overflows = math.isinf(self.sum_x) or math.isinf(self.sxx)
        y_overflows = math.isinf(self.sum_y) or math.isinf(self.syy)
        product_overflows = math.isinf(self.sxy) and not x_was_infinite and not y_was_infinite
        if (
            (x_overflows and not x_was_infinite)
            or (y_overflows and not y_was_infinite)
            or product_overflows
        ):
            raise overflow()
        self.sxx = math.nan if math.isinf(self.sxx) else self.sxx
        self.syy = math.nan if math.isinf(self.syy) else self.syy
        self.sxy = math.nan if math.isinf(self.sxy) else self.sxy

    def final(self) -> float | None:
        return self.finish(self)


class Collect:
    """array_agg: every value, NULLs too; NULL for no rows."""

    def __init__(self, finish: Callable[[list[Any]], Any] = list) -> None:
        self.items: list[Any] = []
        self.finish = finish

    def step(self, *row: Any) -> None:
        self.items.append(row[0] if len(row) == 1 else row)

    def final(self) -> Any:
        return self.finish(self.items) if self.items else None


class StringJoin:
    """string_agg: values joined by the delimiter of each row but the first."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def step(self, value: Any, delimiter: Any) -> None:
        if value is None:
            return
        if self.parts and delimiter is not None:
            self.parts.append(delimiter)
        self.parts.append(value)

    def final(self) -> Any:
        if not self.parts:
            return None
        return self.parts[0][:0].join(self.parts)


class Percentile:
    """percentile_cont and percentile_disc: a fraction, or several, of the sorted values."""

    def __init__(self, pick: Callable[[list[Any], float], Any], *, is_many: bool) -> None:
        self.pick, self.is_many = pick, is_many
        self.fraction: Any = None
        self.values: list[Any] = []

    def step(self, fraction: Any, value: Any) -> None:
        self.fraction = fraction
        if value is not None:
            self.values.append(value)

    def final(self) -> Any:
        if not self.values or self.fraction is None:
            return None
        if not self.is_many:
            return self.pick(self.values, self.fraction)
        return [self._each(item) for item in self.fraction]

    def _each(self, fraction: Any) -> Any:
        if isinstance(fraction, list):
            return [self._each(item) for item in fraction]
        return None if fraction is None else self.pick(self.values, fraction)


class Mode:
    """mode(): the most frequent value, the first in order among equals."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()
        self.values: dict[Any, Any] = {}

    def step(self, value: Any) -> None:
        if value is None:
            return
        key = repr(value) if isinstance(value, list) else value
        self.counts[key] += 1
        self.values.setdefault(key, value)

    def final(self) -> Any:
        if not self.counts:
            return None
        return self.values[max(self.counts, key=self.counts.__getitem__)]
