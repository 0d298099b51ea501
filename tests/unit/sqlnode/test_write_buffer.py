"""The buffer of a transaction's writes: its bound, and what undo gives back."""

import pytest

from pgwire.errors import ConfigurationLimitExceeded
from sqlnode.write_buffer import WriteBuffer


def fill(buffer, prefix, count):
    for n in range(count):
        buffer.set(b"%s%d" % (prefix, n), bytes(1000))


def test_writes_have_a_bound_that_names_its_setting():
    """One COPY of a huge file would take the process, and every session in it, down."""
    buffer = WriteBuffer(bytes_max=1 << 20)
    with pytest.raises(ConfigurationLimitExceeded) as caught:
        fill(buffer, b"k", 2000)
    assert caught.value.sqlstate == "53400"
    assert "1 MiB" in caught.value.message
    assert "transaction_bytes_max" in caught.value.hint
    assert len(buffer.writes) < 1000


def test_undo_gives_room_back():
    """After ROLLBACK TO the transaction could not go on with less."""
    buffer = WriteBuffer(bytes_max=1 << 20)
    fill(buffer, b"a", 10)
    mark, used = buffer.mark(), buffer.bytes_used
    with pytest.raises(ConfigurationLimitExceeded):
        fill(buffer, b"b", 2000)
    buffer.undo_to(mark)
    assert buffer.bytes_used == used
    fill(buffer, b"c", 900)
    assert len(buffer.writes) == 910
