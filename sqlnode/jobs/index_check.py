"""The checker: compares an index with its table, row for row."""

from dataclasses import dataclass

from kvapi.client.kv_client import KvClient
from kvapi.spans import Span
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.rowexec.table_codec import codec_of

_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was found at one snapshot; `missing` and `surplus` show a few keys in hexadecimal."""

    index: str
    row_count: int
    entry_count: int
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether every row has its entry, and every entry its row."""
        return not self.missing and not self.surplus


async def check_indexes(kv: KvClient, table: TableDesc) -> list[IndexReport]:
    """Compare every public index of a table with its rows. Raises: KvError.

    Reads the whole table; entries are compared as bytes, keys and values.
    """
    codec = codec_of(table)
    read_ts, stored = await _read(kv, codec.span, 0)
    rows = [codec.decode_row(value) for value in stored.values()]
    reports = []
    for index in codec.indexes:
        wanted = dict(index.entry(row) for row in rows)
        _, found = await _read(kv, index.span, read_ts)
        missing = wanted.items() - found.items()
        surplus = found.items() - wanted.items()
        reports.append(
            IndexReport(
                index.desc.name,
                len(rows),
                len(found),
                tuple(key.hex() for key, _ in sorted(missing)[:_SHOWN_MAX]),
                tuple(key.hex() for key, _ in sorted(surplus)[:_SHOWN_MAX]),
            )
        )
    return reports


async def _read(kv: KvClient, span: Span, read_ts: int) -> tuple[int, dict[bytes, bytes]]:
    found: dict[bytes, bytes] = {}
    while True:
        block = await kv.scan(span, read_ts=read_ts)
        read_ts = block.read_ts
        if block.row_count:
            found.update(block.rows())
        if not block.more:
            return read_ts, found
        span = block.resume_span(span)
