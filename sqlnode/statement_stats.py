"""What each kind of statement did and cost: pg_stat_statements, and the parts of the bill.

**Model.** Like statements, whose text without literals is the same, share an *entry*. An entry has
two sets of counters: those that pg_stat_statements shows, and those not reported to the KV node
yet, which `usage_reporter.py` takes. RU are whole millionths (micro-RU), so that sums are exact:
the bill is the sum over statements because it is made of nothing else.

**Invariants.** At most ENTRIES_MAX entries; when there are more, those called least are dropped
from the view. What was not reported of them stays until it is.

**Source.** PostgreSQL, contrib/pg_stat_statements: its columns, its normalized text, its eviction.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Final

from kvapi.latency import BUCKETS, bucket_of_fine, fine_bucket_of
from sqlnode.parse.normalize import normalize
from sqlnode.statements import Statement

ENTRIES_MAX: Final = 1_000
_DROPPED_PART: Final = 20  # one in so many goes when there are too many
TEXT_CHARS_MAX: Final = 2_048
MICRO: Final = 1_000_000
_MARKS: Final = re.compile(r"[\x01-\x05]")
_SECRET: Final = re.compile(r"password", re.IGNORECASE)
_STRINGS: Final = re.compile(r"['$].*", re.DOTALL)  # from the first string on, however quoted


class Entry:
    """One kind of statement."""

    __slots__ = (
        "calls",
        "exec_counts",
        "exec_s",
        "exec_s_max",
        "exec_s_min",
        "exec_s_squares",
        "is_kept",
        "new_calls",
        "new_exec_s",
        "new_micro_ru",
        "new_rows",
        "query_id",
        "row_count",
        "ru_micro",
        "text",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.query_id = query_id(text)
        self.is_kept = True
        self.calls = self.row_count = self.ru_micro = 0
        self.exec_s = self.exec_s_max = self.exec_s_squares = 0.0
        self.exec_s_min = math.inf
        self.exec_counts: dict[int, int] = {}  # by fine bucket of kvapi/latency.py
        self.new_calls = self.new_rows = self.new_micro_ru = 0
        self.new_exec_s = 0.0

    @property
    def has_news(self) -> bool:
        """Whether there is something to report."""
        return bool(self.new_calls or self.new_micro_ru)


class StatementStats:
    """The entries of one process. Owner: its loop."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._unreported: dict[Entry, None] = {}
        self.dropped_count = 0
        self._latencies = [0] * BUCKETS

    def find(self, statement: Statement) -> Entry:
        """Return the entry of a statement, a new one if there is none."""
        return self.entry(shown_text(statement))

    def entry(self, text: str) -> Entry:
        """Return the entry with this text, a new one if there is none."""
        found = self._entries.get(text)
        if found is None:
            if len(self._entries) >= ENTRIES_MAX:
                self._drop()
            found = self._entries[text] = Entry(text)
        return found

    def charge(self, entry: Entry, micro_ru: int) -> None:
        """Add what work for an entry cost."""
        entry.ru_micro += micro_ru
        entry.new_micro_ru += micro_ru
        self._unreported[entry] = None

    def called(self, entry: Entry, *, exec_s: float, row_count: int) -> None:
        """Count an execution."""
        entry.calls += 1
        entry.row_count += row_count
        entry.exec_s += exec_s
        entry.exec_s_squares += exec_s * exec_s
        if exec_s > entry.exec_s_max:
            entry.exec_s_max = exec_s
        if exec_s < entry.exec_s_min:
            entry.exec_s_min = exec_s
        bucket = fine_bucket_of(exec_s)
        counts = entry.exec_counts
        counts[bucket] = counts.get(bucket, 0) + 1
        self._latencies[bucket_of_fine(bucket)] += 1
        entry.new_calls += 1
        entry.new_rows += row_count
        entry.new_exec_s += exec_s
        self._unreported[entry] = None

    def unreported(self, count_max: int) -> list[Entry]:
        """Return entries with something to report and let go of them; the caller takes it."""
        taken = list(self._unreported)[:count_max]
        for entry in taken:
            del self._unreported[entry]
        return taken

    def take_latencies(self) -> list[int]:
        """Return how long statements took since the last time, in buckets."""
        taken, self._latencies = self._latencies, [0] * BUCKETS
        return taken

    @property
    def has_news(self) -> bool:
        """Whether anything is not reported yet."""
        return bool(self._unreported)

    def reset(self) -> None:
        """Begin to count anew, as the view shows it; the bill is not touched."""
        for entry in self._entries.values():
            entry.is_kept = False
        self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        return iter([entry for entry in self._entries.values() if entry.calls or entry.ru_micro])

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self) -> None:
        by_calls = sorted(self._entries.values(), key=lambda entry: entry.calls)
        for entry in by_calls[: ENTRIES_MAX // _DROPPED_PART]:
            entry.is_kept = False
            del self._entries[entry.text]
            self.dropped_count += 1


def shown_text(statement: Statement) -> str:
    """Return a statement's text with its literals as $1, $2, …; passwords are left out."""
    normalized = statement.normalized or normalize(statement.text)
    if normalized.literals:
        number = iter(range(1, len(normalized.literals) + 1))
        text = _MARKS.sub(lambda _: f"${next(number)}", normalized.fingerprint)
    else:
        text = statement.text
        if _SECRET.search(text):
            text = _STRINGS.sub("…", text)
    text = text.strip()
    return text[:TEXT_CHARS_MAX]


def query_id(text: str) -> int:
    """Return the number of a kind of statement, the same in every process: 64 bits, signed.

    >>> query_id("SELECT $1") == query_id("SELECT $1"), query_id("SELECT $1") == query_id("BEGIN")
    (True, False)
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
