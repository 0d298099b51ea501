"""What work of this process used, in the units that have a price: one meter for each session.

**Model.** The process has one meter, `root`; each session a *part* of it, for as long as it lives.
A charge adds to one meter's plain counters and to nothing else, so that metering costs a few
additions on the hot path; who wants a total adds up the parts when asked.

    root ──┬── session 1      usage(): its own counters and those of its parts
           ├── session 2      ru():    what that costs
           └── …              close(): a part's counters become its parent's

A statement is the difference of its session's counters between two marks: `mark()` before it,
`since(mark)` after it. So the sum over statements is what the session was charged, exactly.

What Insula does for itself (garbage, statistics, schema jobs) goes to a meter of its own that is no
part of `root`: metered apart, and free.

**Concurrency.** Owner: the process's loop.
"""

from collections.abc import Sequence

from admission.cost_model import Counts, Usage, request_units, request_units_of

Mark = Counts
"""Counters at some moment."""


class RuMeter:
    """Counters of what was used. The prices are in admission/cost_model.py."""

    __slots__ = (
        "_parts",
        "egress_bytes",
        "kv_cpu_s",
        "parent",
        "read_batches",
        "read_bytes",
        "read_requests",
        "sql_cpu_s",
        "write_batches",
        "write_bytes",
        "write_requests",
    )

    def __init__(self, parent: "RuMeter | None" = None) -> None:
        self.parent = parent
        self._parts: set[RuMeter] = set()
        self.read_batches: float = 0
        self.read_requests: float = 0
        self.read_bytes: float = 0
        self.write_batches: float = 0
        self.write_requests: float = 0
        self.write_bytes: float = 0
        self.kv_cpu_s: float = 0
        self.sql_cpu_s: float = 0
        self.egress_bytes: float = 0

    # charging: only what succeeded, once its use is known

    def charge_read(self, requests: float, size_bytes: float, *, batches: float = 1) -> None:
        """Charge reads: keys or scans asked for, and the bytes that came back."""
        self.read_batches += batches
        self.read_requests += requests
        self.read_bytes += size_bytes

    def charge_write(self, requests: float, size_bytes: float, *, batches: float = 1) -> None:
        """Charge writes: keys written or locked, and their bytes."""
        self.write_batches += batches
        self.write_requests += requests
        self.write_bytes += size_bytes

    def charge_kv_cpu(self, seconds: float) -> None:
        """Charge CPU time of the KV node."""
        self.kv_cpu_s += seconds

    def charge_sql_cpu(self, seconds: float) -> None:
        """Charge CPU time of this process."""
        self.sql_cpu_s += seconds

    def charge_egress(self, size_bytes: float) -> None:
        """Charge bytes sent to the client."""
        self.egress_bytes += size_bytes

    def take(self, mark: Mark) -> tuple[float, Mark]:
        """Return what was charged since `mark` costs, and the mark of now."""
        now = self.mark()
        a, b, c, d, e, f, g, h, i = mark
        j, k, m, n, o, p, q, r, s = now
        used = (j - a, k - b, m - c, n - d, o - e, p - f, q - g, r - h, s - i)
        return request_units_of(used), now

    # parts

    def part(self) -> "RuMeter":
        """Return a new part of this meter; `close` it when what it meters has ended."""
        part = RuMeter(self)
        self._parts.add(part)
        return part

    def close(self) -> None:
        """Hand what was counted to the parent. What is charged later is lost; twice is harmless."""
        parent = self.parent
        if parent is None or self not in parent._parts:
            return
        for part in list(self._parts):
            part.close()
        parent._parts.discard(self)
        for name, count in zip(_COUNTERS, self.mark(), strict=True):
            setattr(parent, name, getattr(parent, name) + count)

    # what it came to

    def mark(self) -> Mark:
        """Return this meter's own counters, without its parts."""
        return (
            self.read_batches,
            self.read_requests,
            self.read_bytes,
            self.write_batches,
            self.write_requests,
            self.write_bytes,
            self.kv_cpu_s,
            self.sql_cpu_s,
            self.egress_bytes,
        )

    def since(self, mark: Mark) -> Usage:
        """Return what this meter itself was charged since `mark`."""
        return _usage([now - then for now, then in zip(self.mark(), mark, strict=True)])

    def usage(self) -> Usage:
        """Return what this meter and its parts were charged in all."""
        total = _usage(self.mark())
        for part in self._parts:
            total += part.usage()
        return total

    def ru(self) -> float:
        """Return what `usage` costs."""
        return request_units(self.usage())


_COUNTERS = tuple(Usage.__dataclass_fields__)


def _usage(counts: Sequence[float]) -> Usage:
    return Usage(**dict(zip(_COUNTERS, counts, strict=True)))
