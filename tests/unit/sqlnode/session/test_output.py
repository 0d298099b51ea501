"""The output buffer: what can be taken back, what the client wants to see."""

import pytest

from sqlnode.session.output import Output


class Link:
    """Remembers what was written."""

    def __init__(self):
        self.written = []

    def write(self, data):
        self.written.append(data)


@pytest.fixture
def link():
    return Link()


def test_one_write_for_everything_collected(link):
    """Each write is a packet and a system call."""
    out = Output(link)
    out.add(b"1")
    out.add(b"2")
    out.flush()
    out.flush()
    assert link.written == [b"12"]


def test_rewind_takes_back_only_what_came_after(link):
    """A statement that is run again must not answer twice."""
    out = Output(link)
    out.add(b"kept")
    mark = out.mark()
    out.add(b"lost")
    assert out.is_unseen_since(mark)
    out.rewind(mark)
    out.flush()
    assert link.written == [b"kept"]
    assert not out.is_unseen_since(mark)


def test_client_min_messages_filters_notices(link):
    """A client that wants no NOTICE gets none."""
    out = Output(link)
    out.set_client_min_messages("warning")
    out.notice("NOTICE", "small")
    out.notice("WARNING", "big")
    out.flush()
    assert b"big" in link.written[0]
    assert b"small" not in link.written[0]
