"""Which catalog versions of a tenant are valid, and which are still in use.

**Model.** Requests name the catalog version they were planned against, and, once there is a newer
one, the relations that their transaction uses. A schema change names the relations it concerns. A
request of an older version is as good as new if none of its relations has changed since; numbers
are all that is compared here, what they stand for is the SQL process's affair.

A plain change makes its relations' older versions invalid. One that `keeps_previous` leaves the
state before it valid as well, so that open transactions end undisturbed: two states of a relation
live side by side, as in F1. Who does not name relations uses all of them.

Each stream counts with the version of its hello until it says more (`CatalogUse`). Who is going to
change the schema once more asks for the oldest version in use and waits until that is the newest.

**Invariants.** At most two states of a relation are valid. What was answered as the oldest in use
is a fence: no older version is accepted afterwards, whoever did not speak up in time. Nothing of
this is on disk: a node that starts accepts the newest version only.

Source: Rae et al., "Online, Asynchronous Schema Change in F1", VLDB 2013.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kvapi.errors import SchemaChanged

RELATIONS_MAX: Final = 4_096


class _Change(NamedTuple):
    """The last change of a relation, and the oldest version that is right about it."""

    version: int
    oldest_valid: int


@dataclass(slots=True)
class CatalogUser:
    """One stream: the oldest version it uses, and how to tell it of a newer one."""

    oldest_version: int
    announce: Callable[[], None]


@dataclass(slots=True, eq=False)
class CatalogUse:
    """The valid versions below the newest, and the streams. Owner: the event loop."""

    oldest_valid: int  # for whoever does not say what it uses
    users: dict[object, CatalogUser] = field(default_factory=dict)
    _fence: int = field(init=False)  # for everybody
    _changes: dict[int, _Change] = field(default_factory=dict)  # bounded; newer than the fence

    def __post_init__(self) -> None:
        self._fence = self.oldest_valid

    def check(self, planned_version: int, newest: int, relations: Collection[int] = ()) -> None:
        """Refuse a version that is no longer valid. Raises: SchemaChanged."""
        if self.oldest_valid <= planned_version <= newest:
            return
        if not relations or not self._fence <= planned_version <= newest:
            raise SchemaChanged("the catalog has changed", number=newest)
        changes = self._changes
        for relation in relations:
            change = changes.get(relation)
            if change is not None and planned_version < change.oldest_valid:
                raise SchemaChanged("a relation has changed", number=newest)

    def change(
        self, version: int, before: int, *, keeps_previous: bool, relations: Collection[int]
    ) -> None:
        """Take note of a schema change that makes `version` of `before`."""
        self.oldest_valid = before if keeps_previous else version
        if not relations:
            self._raise_fence(self.oldest_valid)
        for relation in relations:
            last = self._changes.get(relation)
            same_since = self._fence if last is None else last.version
            self._changes[relation] = _Change(version, same_since if keeps_previous else version)
        if len(self._changes) > RELATIONS_MAX:
            self._raise_fence(self.oldest_valid)

    def _raise_fence(self, version: int) -> None:
        """Refuse older versions from now, whatever they are about; forget changes before it."""
        if version > self._fence:
            self._fence = version
            self._changes = {r: c for r, c in self._changes.items() if c.version > version}

    def oldest_in_use(self, newest: int) -> int:
        """Return the oldest valid version that a stream uses; older ones are refused from now."""
        oldest = min((user.oldest_version for user in self.users.values()), default=newest)
        self._raise_fence(min(oldest, newest))
        self.oldest_valid = max(self.oldest_valid, self._fence)
        return min(self._fence, newest)

    def announce(self) -> None:
        """Tell every stream of the newest version."""
        for user in list(self.users.values()):
            user.announce()
