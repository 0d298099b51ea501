"""sqlnode.used_relations: when a statement counts as planned against a newer catalog."""

import pytest

from kvapi.errors import SchemaChanged
from sqlnode.used_relations import UsedRelations


def used_of(*ids):
    used = UsedRelations(5)
    used.add(frozenset(ids))
    return used


def test_a_statement_is_carried_while_what_it_uses_is_unchanged():
    """An index of another table would wait until a table is written anew."""
    used = used_of(1)
    used.carry(7, {2, 3})
    assert used.catalog_version == 7
    used.carry(6, set())
    assert used.catalog_version == 7, "never back"


def test_a_statement_stays_where_it_is_once_what_it_uses_changes():
    """It would read rows of a table in a shape that they no longer have."""
    used = used_of(1)
    used.carry(6, {2})
    used.carry(7, {1, 2})
    assert used.catalog_version == 6


def test_a_relation_that_changed_on_the_way_ends_the_statement():
    """A foreign key would be checked against a table as it was before somebody wrote it anew."""
    used = used_of(1)
    used.carry(6, {2})
    used.add(frozenset((1, 4)))
    with pytest.raises(SchemaChanged):
        used.add(frozenset((4, 2)))


def test_what_was_refused_on_the_way_is_sent_again():
    """A statement would begin anew for a request that was sent as the older version still."""
    used = used_of(1)
    assert used.tell(frozenset())
    sent = used.told
    assert not used.tell(sent)
    used.carry(6, {2})
    assert used.tell(sent)
    assert not used.tell(sent)
