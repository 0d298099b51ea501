"""Which catalog versions of a tenant are valid, and which are still in use.

**Model.** Requests name the catalog version they were planned against. A plain schema change makes
every older version invalid. One that `keeps_previous` leaves the version before it valid as well,
so that open transactions end undisturbed: two versions live side by side, as in F1.

Each stream counts with the version of its hello until it says more (`CatalogUse`). Who is going to
change the schema once more asks for the oldest version in use and waits until that is the newest.

**Invariants.** At most two versions are valid. What was answered as the oldest in use is a fence:
no older version is accepted afterwards, whoever did not speak up in time. Nothing of this is on
disk: a node that starts accepts the newest version only.

Source: Rae et al., "Online, Asynchronous Schema Change in F1", VLDB 2013.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from kvapi.errors import SchemaChanged


@dataclass(slots=True)
class CatalogUser:
    """One stream: the oldest version it uses, and how to tell it of a newer one."""

    oldest_version: int
    announce: Callable[[], None]


@dataclass(slots=True, eq=False)
class CatalogUse:
    """The valid versions below the newest, and the streams. Owner: the event loop."""

    oldest_valid: int
    users: dict[object, CatalogUser] = field(default_factory=dict)

    def check(self, planned_version: int, newest: int) -> None:
        """Refuse a version that is no longer valid. Raises: SchemaChanged."""
        if not self.oldest_valid <= planned_version <= newest:
            raise SchemaChanged("the catalog has changed", number=newest)

    def oldest_in_use(self, newest: int) -> int:
        """Return the oldest valid version that a stream uses; older ones are refused from now."""
        oldest = min((user.oldest_version for user in self.users.values()), default=newest)
        self.oldest_valid = min(max(oldest, self.oldest_valid), newest)
        return self.oldest_valid

    def announce(self) -> None:
        """Tell every stream of the newest version."""
        for user in list(self.users.values()):
            user.announce()
