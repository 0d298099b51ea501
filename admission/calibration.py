"""Fitting the prices of requests to CPU time that was measured.

**Model.** Each workload used known counts of batches, requests and bytes, and took a measured CPU
time. The prices wanted are those for which the sum of squared *relative* errors is least, none of
them negative: a workload of a million small requests says as much as one of a few large ones.

**Source.** Non-negative least squares by coordinate descent: Franc, Hlavac, Navara, "Sequential
Coordinate-Wise Algorithm for the Non-negative Least Squares Problem", 2005.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_ROUNDS_MAX: Final = 20_000
_SMALL: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What ran: how often each thing was used, and the CPU time that took in all."""

    name: str
    counts: Mapping[str, float]
    cpu_ms: float
    measured_ms: float = 0.0  # of that, charged as measured and not by counts


def fit(workloads: Sequence[Workload], names: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds of CPU for one of each of `names`.

    >>> one = Workload(name="one", counts={"batch": 100, "key": 100}, cpu_ms=3.0)
    >>> ten = Workload(name="ten", counts={"batch": 100, "key": 1000}, cpu_ms=12.0)
    >>> {name: round(ms, 6) for name, ms in fit([one, ten], ["batch", "key"]).items()}
    {'batch': 0.02, 'key': 0.01}
    """
    rows = [[w.counts.get(name, 0.0) / w.cpu_ms for name in names] for w in workloads]
    size = range(len(names))
    # Columns of like length, so that bytes and batches converge alike.
    scale = [sum(row[j] ** 2 for row in rows) ** 0.5 or 1.0 for j in size]
    rows = [[row[j] / scale[j] for j in size] for row in rows]
    gram = [[sum(row[i] * row[j] for row in rows) for j in size] for i in size]
    priced = [max(0.0, 1 - w.measured_ms / w.cpu_ms) for w in workloads]
    slope = [-sum(row[j] * part for row, part in zip(rows, priced, strict=True)) for j in size]
    found = [0.0] * len(names)
    for _ in range(_ROUNDS_MAX):
        most = 0.0
        for j in size:
            if gram[j][j] < _SMALL:
                continue  # nothing used it
            changed = max(0.0, found[j] - slope[j] / gram[j][j])
            step, found[j] = changed - found[j], changed
            if step:
                slope = [slope[i] + step * gram[i][j] for i in size]
                most = max(most, abs(step))
        if most < _SMALL:
            break
    return {name: found[j] / scale[j] for j, name in enumerate(names)}


def predicted_ms(workload: Workload, prices_ms: Mapping[str, float]) -> float:
    """Return the CPU time that prices say a workload takes."""
    priced = sum(prices_ms.get(name, 0.0) * count for name, count in workload.counts.items())
    return priced + workload.measured_ms


def relative_error(workload: Workload, prices_ms: Mapping[str, float]) -> float:
    """Return by what part the prediction is off: 0.1 is 10 % too much."""
    return predicted_ms(workload, prices_ms) / workload.cpu_ms - 1
