"""What differs between two catalogs, and whether two changes of one catalog go together.

A changed foreign key counts for both of its tables: writing one must look at the other.
"""

from collections.abc import Iterator

from sqlnode.catalog.descriptors import (
    DatabaseDesc,
    Descriptor,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import Catalog

Pair = tuple[Descriptor | None, Descriptor | None]  # before, after


def differing(old: Catalog, new: Catalog) -> dict[int, Pair]:
    """Return the descriptors that differ, by id."""
    found: dict[int, Pair] = {}
    for relation_id in old.by_id.keys() | new.by_id.keys():
        before, after = old.by_id.get(relation_id), new.by_id.get(relation_id)
        if before is not after and before != after:
            found[relation_id] = before, after
    return found


def changed_relations(old: Catalog, new: Catalog) -> set[int]:
    """Return the ids of all descriptors that differ, and of those their foreign keys name."""
    changed: set[int] = set()
    for relation_id, pair in differing(old, new).items():
        changed.add(relation_id)
        for descriptor in pair:
            if isinstance(descriptor, TableDesc):
                changed.update(key.target_table_id for key in descriptor.foreign_keys)
    return changed


def go_together(mine: dict[int, Pair], theirs: dict[int, Pair]) -> bool:
    """Tell whether two sets of changes to one catalog can both be made, in either order.

    No descriptor is changed that the other side changes or names, and no name is given twice.
    """
    if not (mine and theirs):
        return True
    if mine.keys() & _named_by(theirs) or theirs.keys() & _named_by(mine):
        return False
    if _names(mine) & _names(theirs):
        return False
    # A default names its sequence in text; only a column's own sequence is known by id.
    return not (_drops_sequence(mine) or _drops_sequence(theirs))


def _named_by(changes: dict[int, Pair]) -> set[int]:
    found = set(changes)
    for pair in changes.values():
        for descriptor in pair:
            found.update(_references(descriptor))
    return found


def _references(descriptor: Descriptor | None) -> Iterator[int]:
    match descriptor:
        case TableDesc():
            yield descriptor.schema_id
            yield from (key.target_table_id for key in descriptor.foreign_keys)
            yield from (column.sequence_id for column in descriptor.columns if column.sequence_id)
        case ViewDesc():
            yield descriptor.schema_id
            yield from descriptor.depends_on
        case SequenceDesc():
            yield descriptor.schema_id
            if descriptor.owned_by is not None:
                yield descriptor.owned_by[0]
        case _:
            pass


def _names(changes: dict[int, Pair]) -> set[tuple[int | str, str]]:
    """Return what is unique about the new descriptors: names, with the schema they stand in."""
    found: set[tuple[int | str, str]] = set()
    for _, descriptor in changes.values():
        match descriptor:
            case SchemaDesc() | DatabaseDesc():
                found.add((type(descriptor).__name__, descriptor.name))
            case TableDesc() | SequenceDesc() | ViewDesc():
                found.add((descriptor.schema_id, descriptor.name))
        if isinstance(descriptor, TableDesc):
            indexes = (descriptor.primary, *descriptor.indexes, *descriptor.building)
            names = {index.name for index in indexes if index.name}  # a hidden key has none
            found.update((descriptor.schema_id, name) for name in names)
    return found


def _drops_sequence(changes: dict[int, Pair]) -> bool:
    """Tell whether a sequence goes that is not a dropped table's own."""
    for before, after in changes.values():
        if isinstance(before, SequenceDesc) and after is None:
            owner = before.owned_by and changes.get(before.owned_by[0])
            if owner is None or owner[1] is not None:
                return True
    return False
