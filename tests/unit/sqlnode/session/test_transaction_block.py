"""The state machine of transaction blocks, over a transaction that only remembers."""

import pytest

from kvapi.errors import SchemaChanged
from pgwire.errors import InvalidSavepointSpecification
from sqlnode.catalog.descriptors import SchemaDesc
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.savepoints import Savepoints
from sqlnode.session.parameters import Parameters
from sqlnode.session.transaction_block import BlockState, Modes, TransactionBlock

CATALOG = build_catalog(1, (), ())
MINE, THEIRS, LATER = (SchemaDesc(number, f"s{number}", "owner") for number in (20, 30, 40))


class RememberingTxn:
    """What the block asks of a transaction, written down."""

    def __init__(self, isolation, read_only):
        self.isolation, self.read_only = isolation, read_only
        self.read_ts = 0
        self.schema_changed = False
        self.ended = None
        self.writes = 0
        self.savepoints = Savepoints(self)

    def mark(self):
        return self.writes

    def undo_to(self, mark):
        self.writes = mark

    def lock_mark(self):
        return 0

    def give_up_locks(self, mark):
        """Do nothing: there are none."""

    def begin_statement(self):
        return self.writes

    def put(self, key, value):
        self.writes += 1

    def delete(self, key):
        self.writes += 1

    async def commit(self):
        self.ended = "commit"

    async def rollback(self):
        self.ended = "rollback"


@pytest.fixture
def begun():
    """Every transaction that was begun."""
    return []


@pytest.fixture
def block(begun):
    def begin(isolation, read_only):
        begun.append(RememberingTxn(isolation, read_only))
        return begun[-1]

    return TransactionBlock(Parameters({}, {}), begin, lambda: CATALOG)


async def test_a_statement_alone_is_a_transaction(block, begun):
    """Autocommit."""
    block.ensure()
    assert (block.state, block.status) == (BlockState.IMPLICIT, "I")
    await block.commit()
    assert (block.state, begun[0].ended, block.txn) == (BlockState.IDLE, "commit", None)


async def test_begin_takes_over_what_ran_before_it(block, begun):
    """`insert …; begin; …` in one string is one block."""
    txn = block.ensure()
    block.begin_block(Modes())
    assert (block.status, block.ensure() is txn) == ("T", True)
    await block.rollback()
    assert (begun[0].ended, block.status) == ("rollback", "I")


async def test_a_failed_block_stays_until_its_end(block):
    """Status E is what tells drivers to roll back."""
    block.begin_block(Modes())
    block.ensure()
    await block.fail()
    assert block.status == "E"
    await block.rollback()
    assert block.status == "I"


async def test_rollback_to_savepoint_revives_a_failed_block(block, begun):
    """Frameworks nest transactions this way."""
    block.begin_block(Modes())
    block.ensure()
    begun[0].writes = 3
    block.savepoint("s")
    begun[0].writes = 5
    await block.fail()
    block.rollback_to("s")
    assert (block.status, begun[0].writes) == ("T", 3)
    block.rollback_to("s")
    block.release("s")
    with pytest.raises(InvalidSavepointSpecification):
        block.rollback_to("s")


def test_modes_of_begin_and_of_the_session(block, begun):
    """BEGIN's modes win over default_transaction_*."""
    block._parameters.set("default_transaction_read_only", "on")
    block.begin_block(Modes(isolation="read committed"))
    block.ensure()
    assert (begun[0].isolation, begun[0].read_only) == ("read committed", True)
    assert block._parameters.show("transaction_isolation") == "read committed"


async def test_modes_end_with_the_transaction(block, begun):
    """The next transaction has the defaults again."""
    block.begin_block(Modes(isolation="read uncommitted", read_only=True))
    assert block._parameters.show("transaction_isolation") == "read uncommitted"
    await block.commit()
    assert block._parameters.show("transaction_isolation") == "serializable"
    block.ensure()
    assert (begun[-1].isolation, begun[-1].read_only) == ("serializable", False)


async def test_parameters_follow_the_transaction(block):
    """SET is undone by ROLLBACK and kept by COMMIT."""
    parameters = block._parameters
    block.begin_block(Modes())
    block.protect_parameters()
    parameters.set("work_mem", "1MB")
    await block.rollback()
    assert parameters.show("work_mem") == "4MB"
    block.begin_block(Modes())
    block.protect_parameters()
    parameters.set("work_mem", "1MB")
    await block.commit()
    assert parameters.show("work_mem") == "1MB"


async def test_restart_begins_a_new_transaction_in_the_same_block(block, begun):
    """How a first statement is run again unseen."""
    block.begin_block(Modes())
    block.ensure()
    await block.restart()
    assert (block.status, begun[0].ended) == ("T", "rollback")
    assert block.ensure() is begun[1]


@pytest.mark.parametrize("is_edited", [True, False])
def test_taking_edits_back_leaves_what_others_have_made(block, is_edited):
    """A block that has followed the schema would lose its sight of what it followed it for."""
    block.begin_block(Modes())
    block.ensure()
    editor = block.edit_catalog(None)
    if is_edited:
        editor.put(MINE)
    mark = block.catalog_mark()
    newest = build_catalog(2, (THEIRS,), ())
    editor.rebase(newest)
    block.follow(newest)
    editor.put(LATER)
    block.undo_edits(mark)
    assert block.catalog.by_id.keys() - CATALOG.by_id.keys() == ({20, 30} if is_edited else {30})
    assert block.catalog.version == 2
    assert editor.changed() == ({20} if is_edited else set())
    assert block.is_catalog_edited == is_edited


@pytest.mark.parametrize("is_stored", [True, False])
async def test_edits_that_cancel_out_concern_only_what_was_there(begun, is_stored):
    """A table made and dropped in a block would end everybody's blocks."""
    catalog = build_catalog(1, (MINE,), ()) if is_stored else CATALOG
    block = TransactionBlock(Parameters({}, {}), lambda *_: begun[0], lambda: catalog)
    begun.append(RememberingTxn("serializable", read_only=False))
    begun[0].changed = None
    block.begin_block(Modes())
    block.ensure()
    editor = block.edit_catalog(None)
    editor.put(LATER if is_stored else MINE)
    editor.remove(LATER if is_stored else MINE)
    if is_stored:
        editor.put(MINE)
    await block.commit()
    assert begun[0].changed == ({MINE.id} if is_stored else None)


def test_what_is_written_as_it_was_does_not_go_over_a_change(block):
    """Renaming there and back would take away the column that another had added meanwhile."""
    block.begin_block(Modes())
    block.ensure()
    editor = block.edit_catalog(None)
    editor.base = editor.catalog = build_catalog(1, (MINE,), ())
    editor.put(MINE)
    with pytest.raises(SchemaChanged):
        editor.rebase(build_catalog(2, (SchemaDesc(MINE.id, "renamed", "owner"),), ()))
