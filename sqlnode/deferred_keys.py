"""Foreign keys whose check waits for the end of the transaction (DEFERRABLE).

**Model.** What could not be shown to hold when its statement ended is noted by its values: a parent
that a child row lacks, or one that went while children refer to it. At the commit both are the same
question, so nothing is taken back when a savepoint is: does a child still lack this parent?
rowexec/deferred_checks.py asks it.
"""

from typing import Any, Final

from pgwire.errors import ProgramLimitExceeded
from sqlnode.catalog.descriptors import ForeignKeyDesc

_PENDING_MAX: Final = 1_000_000
Values = tuple[Any, ...]


class DeferredKeys:
    """The deferred checks of one transaction, and what SET CONSTRAINTS said in it."""

    def __init__(self) -> None:
        self._all: bool | None = None
        self._modes: dict[int, bool] = {}  # OID of a foreign key → is deferred
        # (table of the key, its OID) → values → is it the parent that went
        self.pending: dict[tuple[int, int], dict[Values, bool]] = {}

    def is_deferred(self, key: ForeignKeyDesc) -> bool:
        """Tell whether a key is checked at the end of the transaction, as things stand."""
        if not key.deferrable:
            return False
        default = key.deferred if self._all is None else self._all
        return self._modes.get(key.oid, default)

    def set_all(self, *, deferred: bool) -> None:
        """SET CONSTRAINTS ALL."""
        self._modes.clear()
        self._all = deferred

    def set_one(self, oid: int, *, deferred: bool) -> None:
        """SET CONSTRAINTS of one key."""
        self._modes[oid] = deferred

    def add(self, place: tuple[int, int], values: Values, *, is_orphan: bool) -> None:
        """Note a check. Raises: ProgramLimitExceeded."""
        noted = self.pending.setdefault(place, {})
        if len(noted) >= _PENDING_MAX:
            raise ProgramLimitExceeded(
                f"more than {_PENDING_MAX} deferred checks of a foreign key",
                hint="Use SET CONSTRAINTS ALL IMMEDIATE.",
            )
        noted.setdefault(values, is_orphan)
