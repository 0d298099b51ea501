"""sqlnode.catalog_use: statements that are carried to newer catalogs while they run."""

import asyncio
from types import SimpleNamespace

import pytest

from sqlnode.catalog.descriptors import ViewDesc
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.catalog_use import CatalogUse
from sqlnode.used_relations import UsedRelations


def catalog(version, **views):
    """Return a catalog of views, named v1 and so on for their ids, by what they say."""
    found = (ViewDesc(int(name[1:]), 2, name, "owner", sql, ()) for name, sql in views.items())
    return build_catalog(version, found, ())


BASE = catalog(5, v1="select 1", v2="select 2")
OTHER_CHANGED = catalog(6, v1="select 1", v2="select 3")
USED_CHANGED = catalog(7, v1="select 4", v2="select 3")


class Block:
    """A session's block that runs the statement."""

    def __init__(self, used):
        self.used = used

    @property
    def catalog_version_used(self):
        return self.used.catalog_version


@pytest.fixture
async def world():
    """Return (what is in use, the statement's relations, the versions reported)."""
    reported = []

    def tell(oldest):
        reported.append(oldest)
        return asyncio.get_running_loop().create_future()

    newest = SimpleNamespace(version=BASE.version)
    use = CatalogUse(
        SimpleNamespace(catalog_use=tell, on_catalog_version=None),
        current=lambda: newest.version,
        reload=None,
    )
    used = UsedRelations(BASE.version)
    used.add(frozenset((1,)))
    block = Block(used)
    use.add(block)

    def load(found):
        newest.version = found.version
        use.loaded(found)

    return SimpleNamespace(use=use, used=used, reported=reported, load=load, block=block)


async def test_others_need_not_wait_for_a_statement_that_does_not_use_what_changes(world):
    """CREATE INDEX would wait for a table that is written anew, whichever it is."""
    world.use.carry(world.used, BASE, BASE)
    world.load(OTHER_CHANGED)
    assert (world.used.catalog_version, world.reported) == (6, [6])


async def test_a_statement_that_uses_it_keeps_its_version(world):
    """Three states of a relation would be in use at once."""
    world.use.carry(world.used, BASE, BASE)
    world.load(USED_CHANGED)
    assert (world.used.catalog_version, world.reported) == (5, [])


async def test_what_nobody_asked_to_carry_keeps_its_version(world):
    """A block that goes on would use relations as they were when it began."""
    world.load(OTHER_CHANGED)
    assert (world.used.catalog_version, world.reported) == (5, [])


async def test_a_statement_that_begins_to_read_late_is_carried_at_once(world):
    """It would be waited for until somebody changes the schema once more."""
    world.load(OTHER_CHANGED)
    world.use.carry(world.used, BASE, OTHER_CHANGED)
    assert (world.used.catalog_version, world.reported) == (6, [6])


async def test_a_statement_that_commits_is_carried_no_further(world):
    """It would commit as made of a catalog that its changes were never compared with."""
    world.use.carry(world.used, BASE, BASE)
    world.use.put_down(world.used)
    world.load(OTHER_CHANGED)
    assert world.used.catalog_version == 5
