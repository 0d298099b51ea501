"""The rows of the report, and the report as Markdown."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.load import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one system did; None is what was not measured."""

    rate_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    size_bytes: float | None = None
    failed_count: int | None = None  # failed transactions, unanswered requests
    not_warm_count: int | None = None  # connects not served from the warm pool
    server_cpu_ms: float | None = None  # CPU time of all server processes per operation
    generator_cpu: float | None = None  # cores that the load generator used

    def value(self, field: str) -> float | None:
        """Return a field by its name."""
        found: float | None = getattr(self, field)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement of both systems. `key` names it for checks and for comparing runs."""

    key: str
    what: str
    setting: str
    ratio_of: str  # the field whose ratio says most
    insula: Sample
    postgres: Sample | None = None

    @property
    def ratio(self) -> float | None:
        """Insula over PostgreSQL, of `ratio_of`."""
        ours = self.insula.value(self.ratio_of)
        theirs = None if self.postgres is None else self.postgres.value(self.ratio_of)
        return None if ours is None or not theirs else ours / theirs

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {**asdict(self), "ratio": self.ratio}


LEGEND: Final = """\
*CPU* is what all processes of a system used per transaction, connecting included; *generator CPU*
is what the load generator used, in cores. Closed loops wait for an answer before they ask again; in
an open loop requests are due at fixed times, and a latency runs from when its request was due."""
_RATIO_WORDS: Final = {"rate_per_s": "rate", "p50_ms": "time", "size_bytes": "size"}


def sample_of(measurement: dict[str, Any]) -> Sample:
    """Return a load generator's measurement (JSON of `Measurement`) as a sample."""
    m = Measurement(**measurement)
    return Sample(
        rate_per_s=m.rate_per_s,
        p50_ms=m.p50_ms,
        p99_ms=m.p99_ms,
        failed_count=m.unanswered,
        generator_cpu=m.generator_cpu,
    )


def table(rows: Sequence[Row]) -> str:
    """Return the one table."""
    head = ("measured", "setting", "Insula", "PostgreSQL", "Insula / PostgreSQL", "generator CPU")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (
            row.what,
            row.setting,
            _cell(row.insula),
            "–" if row.postgres is None else _cell(row.postgres),
            _ratio(row),
            _cores(row),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def settings_list(settings: dict[str, str]) -> str:
    """Return machine, versions and settings as a list."""
    return "\n".join(f"- {name}: {value}" for name, value in settings.items())


def number(value: float) -> str:
    """Return three significant digits, thousands separated.

    >>> number(81234.5), number(0.04567), number(12.34), number(0)
    ('81,200', '0.0457', '12.3', '0')
    """
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    return f"{rounded:,.{max(decimals, 0)}f}"


def _cell(sample: Sample) -> str:
    parts = []
    if sample.rate_per_s is not None:
        parts.append(f"{number(sample.rate_per_s)}/s")
    if sample.p50_ms is not None:
        parts.append(f"p50 {number(sample.p50_ms)} ms")
    if sample.p99_ms is not None:
        parts.append(f"p99 {number(sample.p99_ms)} ms")
    if sample.size_bytes is not None:
        parts.append(f"{number(sample.size_bytes)} bytes")
    if sample.server_cpu_ms is not None:
        parts.append(f"CPU {number(sample.server_cpu_ms)} ms")
    if sample.failed_count:
        parts.append(f"**{sample.failed_count} failed**")
    if sample.not_warm_count is not None:
        parts.append(f"{sample.not_warm_count} not from the warm pool")
    return ", ".join(parts)


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return "–"
    return f"{number(row.ratio)}× the {_RATIO_WORDS[row.ratio_of]}"


def _cores(row: Row) -> str:
    used = [s.generator_cpu for s in (row.insula, row.postgres) if s is not None]
    return " / ".join("–" if cores is None else f"{cores:.2f}" for cores in used)
