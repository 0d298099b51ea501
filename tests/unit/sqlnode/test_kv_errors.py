"""KV errors as SQLSTATEs."""

import pytest

from kvapi import errors as kv
from kvapi.hlc import from_wall_us
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.kv_errors import FROM_KV, sql_error
from sqlnode.rowexec.table_codec import codec_of
from tests.unit.sqlnode.rowexec.tables import INTS

# The node has errors of its own below KvError that never travel.
WIRE_ERRORS = [c for c in kv.KvError.__subclasses__() if c.__module__ == kv.__name__]


def test_every_kv_error_has_a_sqlstate():
    """A client gets XX000 for something it could have handled."""
    assert set(FROM_KV) == set(WIRE_ERRORS)


@pytest.mark.parametrize("error", WIRE_ERRORS)
def test_retryable_errors_say_so(error):
    """Drivers retry by SQLSTATE class 40; what must not be retried must not be in it."""
    state = sql_error(error("m")).sqlstate
    if error.retryable:
        # 72000: retried inside where a newer snapshot will do; PostgreSQL's own name if not.
        assert state in ("40001", "40P01", "53000", "72000")
    else:
        assert state not in ("40001", "40P01")


def test_a_throttled_request_says_why_and_until_when():
    """An operator looks for too many requests where a disk is too slow."""
    error = sql_error(kv.Throttled("the write waited too long for the disk", number=1500))
    assert (error.sqlstate, error.message) == ("53000", "the write waited too long for the disk")
    assert error.hint == "Try again in 1.5 seconds."
    plain = sql_error(kv.Throttled("", detail=kv.Throttled.REPEAT))
    assert (plain.message, plain.detail) == ("too many requests outstanding", None)
    assert plain.hint == "Try again later."


def test_duplicate_keys_are_named():
    """A duplicate found at commit shows bytes instead of columns."""
    catalog = build_catalog(1, [INTS], ())
    error = sql_error(kv.KeyExists("m", key=codec_of(INTS).primary.key((7,))), catalog)
    assert error.sqlstate == "23505"
    assert error.constraint_name == "t_pkey"
    assert error.detail == "Key (a)=(7) already exists."


def test_a_snapshot_that_is_gone_names_the_oldest_time_there_is():
    """Whoever looks for lost rows could not know how far back he may go."""
    oldest = from_wall_us(1_700_000_000_000_000)
    error = sql_error(kv.SnapshotTooOld("m", number=oldest))
    assert error.sqlstate == "72000"
    assert error.detail == "The oldest readable time is 2023-11-14 22:13:20.000001+00."
    assert "gc_ttl" in error.hint


def test_a_conflict_says_where_or_why():
    """A lapsed heartbeat looks like a conflict, and nobody finds what keeps on conflicting."""
    catalog = build_catalog(1, [INTS], ())
    message = "could not serialize access due to concurrent update"
    key = codec_of(INTS).primary.key((7,))
    error = sql_error(kv.WriteConflict(message, key=key), catalog)
    assert (error.sqlstate, error.message) == ("40001", message)
    assert error.detail == 'What it has read in table "t" was changed by another transaction.'
    assert error.hint == "The transaction might succeed if retried."
    lapsed = sql_error(kv.WriteConflict("the transaction's heartbeat lapsed"), catalog)
    assert (lapsed.sqlstate, lapsed.message) == ("40001", message)
    assert lapsed.detail == "The transaction's heartbeat lapsed."
    behind = sql_error(kv.WriteConflict(message, key=key, detail="it did not catch up"), catalog)
    assert behind.detail == "It did not catch up."
    assert sql_error(kv.WriteConflict(message)).detail is None
