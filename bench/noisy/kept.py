"""Is what was acknowledged there? Writes are counted in the tables after the clients have gone.

What the clients know is exact: each had the answer to its last request before it went. Only a
request that failed without a word of the server may have happened or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.noisy.loads import COPY_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Transactions of one client process."""

    what: str
    acknowledged: int
    unknown: int
    found: float  # not whole: a part of a transaction

    @property
    def is_ok(self) -> bool:
        """Whether all that was acknowledged is there, whole, and nothing else."""
        is_whole = self.found == int(self.found)
        return is_whole and self.acknowledged <= self.found <= self.acknowledged + self.unknown


def quiet_kept(urls: Sequence[str], result: dict[str, Any]) -> Kept:
    """Count the commits of the quiet tenants."""
    found = sum(_one(url, "select sum(v) from quiet") for url in urls)
    return _kept("quiet", result, found)


def noise_kept(kind: str, url: str, result: dict[str, Any], *, bulk_rows: int) -> Kept | None:
    """Count what a load has written; None if it writes nothing."""
    if kind == "hot":
        return _kept(kind, result, _one(url, "select n from hot"))
    if kind == "large":
        return _kept(kind, result, _one(url, "select count(*) from large") / bulk_rows)
    if kind == "copy":
        tables = "select tablename from pg_tables where tablename like 'copied%'"
        with psycopg.connect(url) as connection:
            names = [row[0] for row in connection.execute(tables).fetchall()]
        counts = [_one(url, f"select count(*) from {name}") for name in names]
        return _kept(kind, result, sum(count / COPY_ROWS for count in counts))
    return None


def _kept(what: str, result: dict[str, Any], found: float) -> Kept:
    return Kept(
        what=what,
        acknowledged=result["acknowledged"],
        unknown=result["unknown"],
        found=found,
    )


def _one(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
