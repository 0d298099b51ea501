"""What AS OF SYSTEM TIME's values mean."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvapi.hlc import from_decimal, from_wall_us, to_decimal
from pgwire.codecs.settings import Settings
from pgwire.datum import Interval
from pgwire.errors import DatatypeMismatch, InvalidParameterValue
from sqlnode.past_time import POSTGRES_EPOCH_US, past_timestamp
from sqlnode.types import BOOL, INT8, INTERVAL, NUMERIC, TEXT, TIMESTAMP, TIMESTAMPTZ

SECOND = 1_000_000
NOW = 800_000_000 * SECOND  # 2025-05-08 06:13:20 UTC
TOKYO = Settings(time_zone="Asia/Tokyo")


def at(value, type_=TEXT, settings=None):
    """Return how many microseconds before NOW a value lies."""
    settings = settings or Settings(now_micros=NOW)
    ts = past_timestamp(value, type_, now_micros=NOW, settings=settings)
    assert ts == from_wall_us(ts >> 12)
    return NOW + POSTGRES_EPOCH_US - (ts >> 12)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-10s", 10), ("-1h30m", 5400), ("-1.5s", 1.5), ("-250ms", 0.25), ("-7us", 0.000007),
        ("-1 minute", 60), ("-1 day -2 hours", 93600), ("0s", 0), ("now", 0), ("-00:00:30", 30),
        ("yesterday", 108_800),
        ("2025-05-08 06:13:10+00", 10), (" 2025-05-08T06:13:10Z ", 10),
        ("2025-05-08 06:13:10", 10), ("1746684790000000000", 10),
        ("1746684790000000000.0000000000", 10),
    ],
)  # fmt: skip
def test_text_is_a_time_a_decimal_or_a_span(text, seconds):
    """A documented spelling would be another time."""
    assert at(text) == seconds * SECOND


def test_a_time_without_zone_is_local():
    """Reports of everyone outside UTC would be hours off."""
    assert at("2025-05-08 15:13:10", settings=TOKYO) == 10 * SECOND
    local = NOW + 9 * 3600 * SECOND
    assert at(local - 10 * SECOND, TIMESTAMP, TOKYO) == 10 * SECOND


def test_values_of_other_types():
    """Only text would work."""
    assert at(NOW - 5, TIMESTAMPTZ) == 5
    assert at(Interval(0, -1, 0), INTERVAL) == 86_400 * SECOND
    assert at(1746684790 * 10**9, INT8) == 10 * SECOND
    assert at(Decimal(1746684790) * 10**9, NUMERIC) == 10 * SECOND


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("1s", TEXT), ("tomorrow", TEXT), ("infinity", TEXT), ("9999-01-01", TEXT),
        (NOW + 1, TIMESTAMPTZ), (Interval(0, 0, 1), INTERVAL), (10**19, NUMERIC),
    ],
)  # fmt: skip
def test_the_future_is_refused(value, type_):
    """A read would wait, or show a time that is still to be written."""
    with pytest.raises(InvalidParameterValue, match="cannot specify timestamp in the future"):
        at(value, type_)


@pytest.mark.parametrize(
    ("value", "type_"), [("", TEXT), ("soon", TEXT), (None, TEXT), (0, INT8), (-5, INT8)]
)
def test_what_is_no_time_is_refused(value, type_):
    """A typo would read some time."""
    with pytest.raises(InvalidParameterValue):
        at(value, type_)
    with pytest.raises(DatatypeMismatch, match="not boolean"):
        at(True, BOOL)


@given(st.integers(0, 2**63 - 1))
def test_a_timestamp_survives_its_decimal(ts):
    """AS OF a transaction's own timestamp would read the transaction before or after it."""
    assert from_decimal(to_decimal(ts)) == ts
    text = f"{to_decimal(ts):f}"
    assert len(text.partition(".")[2]) == 10
