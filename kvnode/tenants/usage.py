"""What tenants are billed: the rows of the SYSTEM table, and how a report changes them.

    'u' tenant u32 'd' day u32                → DayUsage as JSON; days since 1970, UTC
    'u' tenant u32 'm'                        → MonthUsage as JSON: of the month of the last report
    'u' tenant u32 's' day u32 query_id i64   → StatementUsage as JSON
    'u' tenant u32 'r' reporter 8 bytes       → sequence u64 · day u32 of its last report

Integers are big-endian, the query_id with its sign bit flipped.

**Model.** Each SQL process reports every few seconds what its statements cost since its last
report. The day's row and the statements' rows change in one write, so the bill of a day is the sum
over its statements, and that of a month over its days, exactly: RU are whole millionths.

**Invariants.** A report is counted once: one whose sequence is not above the reporter's last one
changes nothing. STATEMENTS_MAX rows of statements for each day; what is beyond them is added to the
row of query_id 0. Counters stop at COUNTER_MAX, which honest reports do not reach in a day. Rows
are dropped after DAYS_MAX and STATEMENT_DAYS_MAX days.
"""

import datetime
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from admission.budget import month_of
from kvapi.spans import prefix_end
from kvnode.storage.engine import Snapshot, StoreCorrupt, Table, WriteTxn

STATEMENTS_MAX: Final = 1_000
DAYS_MAX: Final = 400
STATEMENT_DAYS_MAX: Final = 32
REPORTER_BYTES: Final = 8
COUNTER_MAX: Final = (1 << 63) - 1  # what was stored beyond would not fit its message, or JSON
OTHERS: Final = "<other statements>"
MICRO: Final = 1_000_000
DAY_S: Final = 86_400
_AREA: Final = b"u"
_DROPPED_AT_ONCE: Final = 2_000
_REPORTER: Final = struct.Struct(">QI")
_DAY: Final = struct.Struct(">I")
_QUERY_ID: Final = struct.Struct(">Q")
_SIGN: Final = 1 << 63


class StatementUsage(msgspec.Struct, kw_only=True):
    """What one kind of statement cost on one day."""

    query_id: int
    text: str
    calls: int = 0
    row_count: int = 0
    exec_us: int = 0
    micro_ru: int = 0

    def add(self, other: "StatementUsage") -> None:
        """Add what it cost besides."""
        self.calls = _sum(self.calls, other.calls)
        self.row_count = _sum(self.row_count, other.row_count)
        self.exec_us = _sum(self.exec_us, other.exec_us)
        self.micro_ru = _sum(self.micro_ru, other.micro_ru)


class DayUsage(msgspec.Struct, kw_only=True):
    """What a tenant cost on one day. `used`: counters by name (admission/cost_model.py)."""

    micro_ru: int = 0
    free_micro_ru: int = 0  # Insula's own work for the tenant, which is not billed
    calls: int = 0
    statement_count: int = 0  # rows of statements, that of the others left out
    used: dict[str, float] = {}


class MonthUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant cost in one month, YYYY-MM in UTC."""

    month: str
    micro_ru: int


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one SQL process has to say."""

    reporter: bytes
    sequence: int
    statements: Sequence[StatementUsage]
    used: dict[str, float]
    free_micro_ru: int = 0


_encode = msgspec.json.Encoder().encode
_statement_decoder = msgspec.json.Decoder(StatementUsage)
_month_decoder = msgspec.json.Decoder(MonthUsage)
_day_decoder = msgspec.json.Decoder(DayUsage)


def usage_prefix(tenant: bytes) -> bytes:
    """Return what the keys of all rows of a tenant start with."""
    return _AREA + tenant


def _day_key(tenant: bytes, day: int) -> bytes:
    return _AREA + tenant + b"d" + _DAY.pack(day)


def _month_key(tenant: bytes) -> bytes:
    return _AREA + tenant + b"m"


def _statements_prefix(tenant: bytes, day: int) -> bytes:
    return _AREA + tenant + b"s" + _DAY.pack(day)


def _statement_key(tenant: bytes, day: int, query_id: int) -> bytes:
    return _statements_prefix(tenant, day) + _QUERY_ID.pack(query_id + _SIGN)


def record_usage(txn: WriteTxn, tenant: bytes, day: int, report: UsageReport) -> MonthUsage | None:
    """Add a report to the rows of a day; return its month. None: it was counted before."""
    reporter_key = _AREA + tenant + b"r" + report.reporter
    known = txn.get(Table.SYSTEM, reporter_key)
    if known is not None and _REPORTER.unpack(known)[0] >= report.sequence:
        return None
    txn.put(Table.SYSTEM, reporter_key, _REPORTER.pack(report.sequence, day))
    stored = txn.get(Table.SYSTEM, _day_key(tenant, day))
    if stored is None:
        _drop_old(txn, tenant, day)
        total = DayUsage()
    else:
        total = _decoded_day(stored)
    month, before = month_of(day * DAY_S), total.micro_ru
    month_micro_ru = read_month(txn, tenant, month)
    for statement in report.statements:
        _add_statement(txn, tenant, day, total, statement)
        total.micro_ru = _sum(total.micro_ru, statement.micro_ru)
        total.calls = _sum(total.calls, statement.calls)
    total.free_micro_ru = _sum(total.free_micro_ru, report.free_micro_ru)
    for name, count in report.used.items():
        total.used[name] = total.used.get(name, 0) + count
    txn.put(Table.SYSTEM, _day_key(tenant, day), _encode(total))
    usage = MonthUsage(month=month, micro_ru=_sum(month_micro_ru, total.micro_ru - before))
    txn.put(Table.SYSTEM, _month_key(tenant), _encode(usage))
    return usage


def _add_statement(
    txn: WriteTxn, tenant: bytes, day: int, total: DayUsage, statement: StatementUsage
) -> None:
    key = _statement_key(tenant, day, statement.query_id)
    stored = txn.get(Table.SYSTEM, key)
    if stored is None and statement.query_id:
        if total.statement_count >= STATEMENTS_MAX:
            others = msgspec.structs.replace(statement, query_id=0, text=OTHERS)
            _add_statement(txn, tenant, day, total, others)
            return
        total.statement_count += 1
    if stored is not None:
        sum_ = _decoded_statement(stored)
        sum_.add(statement)
        statement = sum_
    txn.put(Table.SYSTEM, key, _encode(statement))


def _drop_old(txn: WriteTxn, tenant: bytes, day: int) -> None:
    """Drop rows that are too old, at the first report of a day: some at a time."""
    ages = ((b"d", DAYS_MAX), (b"s", STATEMENT_DAYS_MAX))
    keys: list[bytes] = []
    for kind, days_max in ages:
        start = _AREA + tenant + kind
        keys += _keys(txn, start, start + _DAY.pack(max(0, day - days_max)))
    for key in _keys(txn, _AREA + tenant + b"r", _AREA + tenant + b"s"):
        stored = txn.get(Table.SYSTEM, key)
        if stored is not None and _REPORTER.unpack(stored)[1] + 1 < day:
            keys.append(key)
    for key in keys[:_DROPPED_AT_ONCE]:
        txn.delete(Table.SYSTEM, key)


def _sum(one: int, other: int) -> int:
    return min(one + other, COUNTER_MAX)


def _keys(view: Snapshot, start: bytes, end: bytes) -> list[bytes]:
    found: list[bytes] = []
    for key, _ in view.rows_from(Table.SYSTEM, start):
        if key >= end or len(found) >= _DROPPED_AT_ONCE:
            break
        found.append(key)
    return found


def read_days(view: Snapshot, tenant: bytes, first_day: int) -> Iterator[tuple[int, DayUsage]]:
    """Yield the days from `first_day` on that cost something."""
    end = prefix_end(_AREA + tenant + b"d")
    for key, stored in view.rows_from(Table.SYSTEM, _day_key(tenant, first_day)):
        if key >= end:
            return
        yield _DAY.unpack(key[-_DAY.size :])[0], _decoded_day(stored)


def read_month(view: Snapshot, tenant: bytes, month: str) -> int:
    """Return what a month is billed, in micro-RU."""
    stored = view.get(Table.SYSTEM, _month_key(tenant))
    if stored is not None and (known := _decoded_month(stored)).month == month:
        return known.micro_ru
    first = datetime.datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    total = 0
    for day, usage in read_days(view, tenant, int(first.timestamp()) // DAY_S):
        if month_of(day * DAY_S) != month:
            break
        total = _sum(total, usage.micro_ru)
    return total


def read_statements(
    view: Snapshot, tenant: bytes, first_day: int
) -> Iterator[tuple[int, StatementUsage]]:
    """Yield (day, usage) of the statements from `first_day` on."""
    end = prefix_end(_AREA + tenant + b"s")
    at = len(_AREA) + len(tenant) + 1
    for key, stored in view.rows_from(Table.SYSTEM, _statements_prefix(tenant, first_day)):
        if key >= end:
            return
        yield _DAY.unpack(key[at : at + _DAY.size])[0], _decoded_statement(stored)


def _decoded_day(stored: bytes) -> DayUsage:
    try:
        return _day_decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"the usage of a day is damaged: {error}") from error


def _decoded_month(stored: bytes) -> MonthUsage:
    try:
        return _month_decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"the usage of a month is damaged: {error}") from error


def _decoded_statement(stored: bytes) -> StatementUsage:
    try:
        return _statement_decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"the usage of a statement is damaged: {error}") from error
