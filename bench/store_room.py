"""Commits to a store that grows, with and without room at the end of its file, in turns.

    python -m bench.store_room

Prints milliseconds of a commit of 64 KiB. The ratio counts; both write to the same disk.
"""

import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Final

from kvnode.storage.engine import Table
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine

TURNS: Final = 5
COMMITS: Final = 400
ROWS: Final = 256


def measure(folder: Path, *, has_room: bool) -> list[float]:
    """Return the milliseconds of each commit to a new store in `folder`."""
    took_ms = []
    with closing(LmdbEngine(folder, LmdbConfig(map_bytes=1 << 30))) as engine:
        for commit in range(COMMITS):
            first = commit * ROWS
            rows = [(b"%016d" % row, bytes(200)) for row in range(first, first + ROWS)]
            began = perf_counter()
            with engine.write() as txn:
                txn.put_many(Table.LIVE, rows)
            took_ms.append(1e3 * (perf_counter() - began))
            if has_room:
                engine.make_room()
    return took_ms


def main() -> int:
    """Print both."""
    took: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(TURNS):
        for has_room, all_ms in took.items():
            with tempfile.TemporaryDirectory() as folder:
                all_ms += measure(Path(folder) / "store", has_room=has_room)
    for has_room, all_ms in took.items():
        all_ms.sort()
        p50, p99 = (all_ms[int(len(all_ms) * share)] for share in (0.5, 0.99))
        sys.stdout.write(
            f"{'with' if has_room else 'without'} room: p50 {p50:.2f} ms, p99 {p99:.2f} ms\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
