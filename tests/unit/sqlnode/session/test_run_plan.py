"""sqlnode.session.run_plan: portals whose rows are taken in pieces."""

from types import SimpleNamespace

import pytest

from kvapi.errors import SchemaChanged
from sqlnode.planner import PlanKind
from sqlnode.session.portal import Portal
from sqlnode.session.run_plan import take_rows
from sqlnode.txn import Transaction


class Rows:
    """A query that reads nothing for its first row."""

    def __init__(self):
        self.is_open = False

    async def run(self, ctx):
        self.is_open = True
        try:
            yield [(1,)]
            yield [(2,)]
        finally:
            self.is_open = False


@pytest.mark.parametrize("is_read_only", [True, False])
async def test_a_start_that_fails_leaves_nothing_open(client, monkeypatch, is_read_only):
    """The next attempt would run beside what is left of the one before, until it is collected."""
    txn = Transaction(client, txn_id=bytes(16), catalog_version=0, isolation="read committed")
    txn.begin_statement()
    rows = Rows()
    plan = SimpleNamespace(
        kind=PlanKind.QUERY, text="", relations={1}, executable=rows, is_read_only=is_read_only
    )

    async def refuse(_):
        raise SchemaChanged("on purpose")

    monkeypatch.setattr(Transaction, "fix_snapshot", refuse)
    session = SimpleNamespace(
        block=SimpleNamespace(begin_work=lambda: txn, is_read_only=False),
        context=lambda _: SimpleNamespace(txn=txn, rows_wanted=None),
    )
    portal = Portal("c", SimpleNamespace(plan=plan), (), (), is_cursor=True)
    with pytest.raises(SchemaChanged) as caught:
        await take_rows(session, portal)
    assert (portal.rows, rows.is_open, txn._own._pins) == (None, False, [])
    del caught  # its traceback kept the query alive until here
