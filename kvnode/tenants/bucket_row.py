"""A tenant's limits and what its bucket holds, as one row of the SYSTEM table.

    'b' tenant u32 → BucketRow as JSON; no row: the tenant is unlimited

Written with every grant, before the answer leaves: see tenant_bucket.py.
"""

import math
from typing import Final

import msgspec

from admission.budget import BudgetRecord
from admission.token_bucket import BucketRecord
from kvnode.storage.engine import Snapshot, StoreCorrupt, Table, WriteTxn

RU_MAX: Final = 1e12  # of any limit
BUCKET_ROWS: Final = b"b"


class LimitsInvalid(ValueError):
    """Limits that make no sense; the message says why."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator allows a tenant, in request units. None: no such limit."""

    rate_ru_per_s: float | None = None
    burst_ru_max: float | None = None  # saved while unused; only with a rate
    # From the rate, and follows it: the operator gave none. None: stored before this was known.
    is_burst_derived: bool | None = None
    month_ru_max: float | None = None

    def __post_init__(self) -> None:
        """Raise LimitsInvalid unless this can be used."""
        _check("the rate", self.rate_ru_per_s, least=0.001)
        _check("the burst", self.burst_ru_max, least=0)
        _check("the monthly budget", self.month_ru_max, least=0.001)
        if (self.rate_ru_per_s is None) != (self.burst_ru_max is None):
            raise LimitsInvalid("a burst belongs to a rate")

    @property
    def is_none(self) -> bool:
        """Whether nothing is limited."""
        return self.rate_ru_per_s is None and self.month_ru_max is None


class BucketRow(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to store of one tenant's bucket."""

    limits: Limits
    bucket: BucketRecord
    budget: BudgetRecord | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(BucketRow)


def bucket_key(prefix: bytes) -> bytes:
    """Return the key of a tenant's row."""
    return BUCKET_ROWS + prefix


def encode_row(row: BucketRow) -> bytes:
    """Return the bytes to store."""
    return _encoder.encode(row)


def decode_row(stored: bytes) -> BucketRow:
    """Return a stored row. Raises: StoreCorrupt."""
    try:
        return _decoder.decode(stored)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreCorrupt(f"a tenant's bucket is damaged: {error}") from error


def read_row(view: Snapshot, prefix: bytes) -> BucketRow | None:
    """Return a tenant's row, None: it is unlimited. Raises: StoreCorrupt."""
    stored = view.get(Table.SYSTEM, bucket_key(prefix))
    return None if stored is None else decode_row(stored)


def write_row(txn: WriteTxn, prefix: bytes, encoded: bytes | None) -> None:
    """Store a row as `encode_row` made it; None removes it."""
    if encoded is None:
        txn.delete(Table.SYSTEM, bucket_key(prefix))
    else:
        txn.put(Table.SYSTEM, bucket_key(prefix), encoded)


def _check(what: str, number: float | None, *, least: float) -> None:
    if number is not None and not (math.isfinite(number) and least <= number <= RU_MAX):
        raise LimitsInvalid(f"{what} must be from {least:g} to {RU_MAX:g} request units")
