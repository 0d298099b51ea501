"""The buffer of a transaction's writes: what undo gives back, what a cut takes out."""

from kvapi.spans import Span
from sqlnode.write_buffer import Segment, WriteBuffer


def fill(buffer, prefix, count):
    for n in range(count):
        buffer.set(b"%s%d" % (prefix, n), bytes(1000))


def test_undo_gives_room_back():
    """After ROLLBACK TO the transaction would stage what is not there any more."""
    buffer = WriteBuffer()
    fill(buffer, b"a", 10)
    mark, used = buffer.mark(), buffer.bytes_used
    fill(buffer, b"b", 2000)
    assert buffer.bytes_used > 2_000_000
    buffer.undo_to(mark)
    assert buffer.bytes_used == used
    assert len(buffer.keys_in(Span(b"", b""))) == 10


def test_segments_hold_what_stood_at_each_mark():
    """A savepoint's layer must give back the value of its time, not the last one."""
    buffer = WriteBuffer()
    buffer.set(b"a", b"1")
    buffer.absent_keys.append(b"a")
    buffer.set(b"a", b"2")
    first = buffer.mark()
    buffer.set(b"a", None)
    buffer.set(b"b", b"1")
    second = buffer.mark()
    buffer.set(b"a", b"3")
    buffer.absent_keys.append(b"c")
    buffer.set(b"c", b"1")
    assert buffer.segments([first, second]) == [
        Segment({b"a": b"2"}, [b"a"]),
        Segment({b"a": None, b"b": b"1"}, []),
        Segment({b"a": b"3", b"c": b"1"}, [b"c"]),
    ]
    assert buffer.segments([first, second, buffer.mark()])[-1] == Segment({}, [])
    buffer.undo_to(first)
    assert buffer.writes == {b"a": b"2"}
