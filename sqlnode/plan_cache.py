"""Plans kept for use again, by everything they depend on.

**Invariants.** Bounded: the plan used longest ago goes first. A plan made against one catalog is
never given out for another: the catalog's version is part of the key, and catalogs that a
transaction has edited are not shared.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pgwire.codecs.settings import Settings
from sqlnode.catalog.snapshot import Catalog

PLANS_MAX: Final = 2_000
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class PlanEnv:
    """What planning depends on beside the text. Sessions keep one and compare it by identity."""

    catalog: Catalog
    search_path: tuple[str, ...]
    settings: Settings
    is_shared: bool  # False after DDL in the same transaction: such plans are never kept
    key: tuple[Hashable, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.key = (self.catalog.version, self.search_path, self.settings)


class LruCache(Generic[V]):
    """A bounded mapping that forgets what was used longest ago."""

    def __init__(self, entries_max: int = PLANS_MAX) -> None:
        self._entries: OrderedDict[Hashable, V] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: Hashable) -> V | None:
        """Return the entry and mark it used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, entry: V) -> None:
        """Keep an entry."""
        self._entries[key] = entry
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
