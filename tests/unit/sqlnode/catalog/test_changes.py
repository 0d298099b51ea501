"""Which changes of one catalog go together: two transactions made them at once."""

import pytest
from msgspec.structs import replace

from kvapi.errors import SchemaChanged
from sqlnode.catalog.changes import changed_relations, differing, go_together
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    ForeignKeyDesc,
    IndexDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.catalog.store import CatalogEditor
from sqlnode.ddl.hidden_key import hidden_primary

PUBLIC = 2200


def table(number, name, **more):
    primary = IndexDesc(1, 1000 + number, f"{name}_pkey", (), primary=True)
    return TableDesc(number, PUBLIC, name, "owner", (), primary, **more)


def referring(number, name, target):
    key = ForeignKeyDesc(2000 + number, f"{name}_fk", (1,), target, (1,))
    return table(number, name, foreign_keys=(key,))


A, B = table(1, "a"), table(2, "b")
SEQUENCE = SequenceDesc(3, PUBLIC, "s", "owner")
OWN = SequenceDesc(4, PUBLIC, "b_id_seq", "owner", owned_by=(2, 1))
BASE = build_catalog(10, (A, B, SEQUENCE, OWN), ())
WIDER = replace(A, columns=(ColumnDesc(1, "x", 23),))


def after(*put, dropped=(), version=11):
    """Return the catalog as it is after a change."""
    kept = {**BASE.by_id, **{found.id: found for found in put}}
    return build_catalog(version, (d for key, d in kept.items() if key not in dropped), ())


TOGETHER = {
    "new tables": (after(table(20, "x")), after(table(30, "y"))),
    "a new table, another one changed": (after(table(20, "x")), after(WIDER)),
    "a new table, a view of another one": (
        after(table(20, "x")),
        after(ViewDesc(30, PUBLIC, "v", "owner", "select", (), depends_on=(1,))),
    ),
    "a new table, another one dropped with its sequence": (
        after(table(20, "x")),
        after(dropped=(2, 4)),
    ),
    "new tables without a key": (
        after(replace(table(20, "x"), primary=hidden_primary())),
        after(replace(table(30, "y"), primary=hidden_primary())),
    ),
    "nothing any more, after a savepoint": (BASE, after(dropped=(3,))),
    "two children of one parent": (after(referring(20, "x", 1)), after(referring(30, "y", 1))),
}
APART = {
    "one name": (after(table(20, "x")), after(table(30, "x"))),
    "a table with the name of an index": (after(table(20, "x")), after(table(30, "x_pkey"))),
    "the same table": (after(WIDER), after(replace(A, comment="c"))),
    "a child of a table that goes": (after(referring(20, "x", 1)), after(dropped=(1,))),
    "a view of a table that changes": (
        after(ViewDesc(20, PUBLIC, "v", "owner", "select", (), depends_on=(1,))),
        after(WIDER),
    ),
    "a sequence that a default may name": (after(table(20, "x")), after(dropped=(3,))),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_what_goes_together(name):
    """Of two migrations at once one would fail for nothing."""
    mine, theirs = (differing(BASE, catalog) for catalog in TOGETHER[name])
    assert go_together(mine, theirs)
    assert go_together(theirs, mine)


@pytest.mark.parametrize("name", APART)
def test_what_does_not(name):
    """A name would be given twice, a change lost, or something refer to what is gone."""
    mine, theirs = (differing(BASE, catalog) for catalog in APART[name])
    assert not go_together(mine, theirs)
    assert not go_together(theirs, mine)


def test_a_foreign_key_concerns_both_ends():
    """Who deletes parents would not look for the new children."""
    assert changed_relations(BASE, after(referring(20, "x", 1))) == {1, 20}


def test_edits_are_carried_over_to_a_newer_catalog():
    """A commit would take back what others have changed, or be told to whom it is no news."""
    editor = CatalogEditor(None, BASE, None)
    editor.catalog = after(table(20, "x"), dropped=(2, 4))
    editor.rebase(after(WIDER, version=12))
    assert editor.catalog.version == 12
    assert set(editor.catalog.by_id) >= {1, 3, 20}
    assert not {2, 4} & editor.catalog.by_id.keys()
    assert editor.catalog.by_id[1] == WIDER
    assert editor.changed() == {20, 2, 4}
    with pytest.raises(SchemaChanged):
        editor.rebase(after(table(30, "x"), version=13))
