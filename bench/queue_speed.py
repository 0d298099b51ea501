"""The fair queue alone: microseconds for each operation, by how much waits.

    python -m bench.queue_speed

The target is 3 µs · log2(n) for each operation. One process, one thread: other load on the machine
shows.
"""

import math
import random
import sys
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

from admission.queue import FairQueue, Priority, QueueConfig, Work

SIZES: Final = (1_000, 10_000, 100_000)
TENANTS: Final = 1_000
TARGET_US: Final = 3.0
SEED: Final = 1


def measure(count: int) -> dict[str, float]:
    """Return microseconds for each operation on a queue of `count` pieces of work."""
    rng = random.Random(SEED)
    queue = FairQueue(QueueConfig(tenant_items_max=count, items_max=2 * count))
    works = [
        Work(
            tenant_id=rng.randrange(TENANTS),
            txn_start=rng.randrange(1 << 40),
            estimate=0.001,
            deadline_s=rng.uniform(1e3, 1e6),
        )
        for _ in range(count)
    ]
    now_s = 0.0

    def add(work: Work) -> None:
        nonlocal now_s
        now_s += 1e-5
        queue.add(work, now_s=now_s)

    def turn(_: Work) -> None:
        nonlocal now_s
        now_s += 1e-5
        queue.expire(now_s=now_s)
        work = queue.take(now_s=now_s)
        assert work is not None, "as much is put back as is taken"
        queue.settle(work, 0.0012, now_s=now_s)
        queue.put_back(work, now_s=now_s)

    half = works[: count // 2]
    return {
        "add": _each_us(add, works),
        "expire, take, settle, put back (each)": _each_us(turn, works) / 4,
        "raise": _each_us(lambda w: queue.raise_priority(w, Priority.LOCK_HOLDER), half),
        "cancel": _each_us(lambda work: queue.cancel(work), half),
    }


def _each_us(do: Callable[[Work], object], works: Iterable[Work]) -> float:
    works = list(works)
    start_s = perf_counter()
    for work in works:
        do(work)
    return (perf_counter() - start_s) / len(works) * 1e6


def main() -> int:
    """Print a table; return 1 if an operation missed the target."""
    results = {count: measure(count) for count in SIZES}
    print("| operation, µs |", " | ".join(f"{count:,} waiting" for count in SIZES), "|")
    print("|---|" + "--:|" * len(SIZES))
    for name in results[SIZES[0]]:
        cells = [f"{results[count][name]:.2f}" for count in SIZES]
        print(f"| {name} |", " | ".join(cells), "|")
    limits = {count: TARGET_US * math.log2(count) for count in SIZES}
    print("| target |", " | ".join(f"{limits[count]:.0f}" for count in SIZES), "|")
    missed = any(us > limits[count] for count in SIZES for us in results[count].values())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
