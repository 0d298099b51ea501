"""What work costs its tenant, in request units (RU): one table.

**Model.** CPU that is measured is charged as such: 1 RU is 3 ms of it, in SQL processes and the KV
node alike.
What CPU time does not show has prices of its own: the fixed work for a batch and a request around
the measured part, the bytes a read moves through caches, the bytes a write sends to disk and to
history, the bytes that leave the host.

**Source.** CockroachDB, pkg/multitenant/tenantcostmodel/settings.go; tikv/pd has the same lineage
(1 RU = 64 KiB read). The prices of counts are theirs, a policy and no measurement: on two EPYC CPUs
`python -m bench.calibrate` found a read batch to take 6 µs of the KV node's CPU, a key 0.9, a write
batch 270 (with its part of a sync), a key written 29, which the table prices 250, 430, 11 and 100
times as high as CPU. So reads and writes weigh far more than SQL CPU in what is billed.
"""

from dataclasses import dataclass, fields
from typing import Final

MIB: Final = 1 << 20
Counts = tuple[float, float, float, float, float, float, float, float, float]
"""One number for each field of `Usage`, in that order."""


@dataclass(frozen=True, slots=True)
class Price:
    """RU for one unit of something."""

    ru: float
    unit: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a statement, or a second of a process, used."""

    read_batches: float = 0
    read_requests: float = 0
    read_bytes: float = 0
    write_batches: float = 0
    write_requests: float = 0
    write_bytes: float = 0
    kv_cpu_s: float = 0
    sql_cpu_s: float = 0
    egress_bytes: float = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in PRICES})


PRICES: Final = {
    "read_batches": Price(0.5, "batch", "frame, admission, answer"),
    "read_requests": Price(0.125, "request", "parsing, one seek"),
    "read_bytes": Price(16 / MIB, "byte", "64 KiB are one RU"),
    "write_batches": Price(1.0, "batch", "frame, admission, a part of a sync"),
    "write_requests": Price(1.0, "key", "pages on the path to it, history"),
    "write_bytes": Price(1024 / MIB, "byte", "1 KiB is one RU: disk and history"),
    "kv_cpu_s": Price(1000 / 3, "second", "3 ms are one RU"),
    "sql_cpu_s": Price(1000 / 3, "second", "3 ms are one RU"),
    "egress_bytes": Price(1024 / MIB, "byte", "1 KiB is one RU"),
}
assert list(PRICES) == [f.name for f in fields(Usage)], "each use has its price"


_RU: Final = tuple(price.ru for price in PRICES.values())


def request_units_of(counts: Counts) -> float:
    """Return the price of counters in the order of `Usage`: once for each statement, so unrolled.

    >>> request_units_of((1, 1, 64 << 10, 0, 0, 0, 0, 0, 0))
    1.625
    """
    reads, keys, read_bytes, writes, written, write_bytes, kv_cpu_s, sql_cpu_s, egress_bytes = (
        counts
    )
    ru = sql_cpu_s * _RU[7] + egress_bytes * _RU[8]
    if reads:
        ru += reads * _RU[0] + keys * _RU[1] + read_bytes * _RU[2]
    if writes:
        ru += writes * _RU[3] + written * _RU[4] + write_bytes * _RU[5]
    if kv_cpu_s:
        ru += kv_cpu_s * _RU[6]
    return ru


def request_units(usage: Usage) -> float:
    """Return what `usage` costs.

    >>> request_units(Usage(read_batches=1, read_requests=1, read_bytes=64 << 10))
    1.625
    >>> request_units(Usage(write_batches=1, write_requests=2, write_bytes=2048))
    5.0
    """
    return sum((price.ru * float(getattr(usage, n)) for n, price in PRICES.items()), 0.0)
