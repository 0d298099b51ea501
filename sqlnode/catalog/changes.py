"""What differs between two catalogs.

A changed foreign key counts for both of its tables: writing one must look at the other.
"""

from collections.abc import Iterator

from sqlnode.catalog.descriptors import Descriptor, TableDesc
from sqlnode.catalog.snapshot import Catalog


def changed_relations(old: Catalog, new: Catalog) -> set[int]:
    """Return the ids of all descriptors that differ, and of those their foreign keys name."""
    changed: set[int] = set()
    for relation_id in old.by_id.keys() | new.by_id.keys():
        before, after = old.by_id.get(relation_id), new.by_id.get(relation_id)
        if before is after or before == after:
            continue
        changed.add(relation_id)
        changed.update(_targets(before))
        changed.update(_targets(after))
    return changed


def _targets(descriptor: Descriptor | None) -> Iterator[int]:
    if isinstance(descriptor, TableDesc):
        for key in descriptor.foreign_keys:
            yield key.target_table_id
