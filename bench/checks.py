"""What the speed of a stack is held to, and whether this run kept it.

The targets are for a quiet 2-core machine; on a shared one, read the ratios of the table instead.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.report import Row, number


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one field of one row."""

    what: str
    key: str
    field: str
    bound: float
    is_floor: bool = False  # at least, instead of at most
    unit: str = " ms"


@dataclass(frozen=True, slots=True)
class Check:
    """A target and what was measured; None if its part did not run."""

    target: Target
    measured: float | None

    @property
    def is_ok(self) -> bool | None:
        """Whether the target was met; None if it was not measured."""
        if self.measured is None:
            return None
        if self.target.is_floor:
            return self.measured >= self.target.bound
        return self.measured <= self.target.bound

    def as_dict(self) -> dict[str, Any]:
        """Return the check for JSON."""
        return {**asdict(self.target), "measured": self.measured, "ok": self.is_ok}


TARGETS: Final = (
    Target("KV get, Unix socket, 1 in flight: median", "kv/get/unix/1", "p50_ms", 0.080),
    Target("KV get, Unix socket, 64 in flight", "kv/get/unix/64", "rate_per_s", 80_000, True, "/s"),
    Target("KV get, gRPC, 64 in flight", "kv/get/grpc/64", "rate_per_s", 25_000, True, "/s"),
    Target("point SELECT, prepared, 1 client: median", "select/prepared/1", "p50_ms", 0.4),
    Target("connect → first row, tenant asleep: median", "connect/row", "p50_ms", 30),
    Target("connect → first row, tenant asleep: p99", "connect/row", "p99_ms", 120),
    Target("connects not served from the warm pool", "connect/row", "not_warm_count", 0, unit=""),
)


def check(rows: Sequence[Row]) -> list[Check]:
    """Hold the rows of a run to the targets."""
    by_key = {row.key: row for row in rows}
    return [
        Check(target, by_key[target.key].insula.value(target.field))
        if target.key in by_key
        else Check(target, None)
        for target in TARGETS
    ]


def checks_table(checks: Sequence[Check]) -> str:
    """Return the checks that were measured as a Markdown table."""
    lines = ["| target | bound | measured | |", "|---|---|---|---|"]
    for one in checks:
        if one.measured is None:
            continue
        target = one.target
        sign = "≥" if target.is_floor else "≤"
        lines.append(
            f"| {target.what} | {sign} {number(target.bound)}{target.unit} "
            f"| {number(one.measured)}{target.unit} | {'ok' if one.is_ok else '**no**'} |"
        )
    return "\n".join(lines)
