"""Named savepoints over a transaction's marks."""

import weakref
from typing import Any, Generic, Protocol, TypeVar

M = TypeVar("M")


class Marked(Protocol[M]):
    """The transaction, as its savepoints see it."""

    def lock_mark(self) -> Any:
        """Return the present position among the locks."""
        ...

    def give_up_locks(self, mark: Any) -> None:
        """Give up the locks taken since `mark`."""
        ...

    def mark(self) -> M:
        """Return the present position."""
        ...

    def undo_to(self, mark: M) -> None:
        """Take back the writes since `mark`."""
        ...


class SavepointMissing(LookupError):
    """No savepoint of that name."""


class Savepoints(Generic[M]):
    """SAVEPOINT, ROLLBACK TO and RELEASE; a newer savepoint hides an older one of its name."""

    def __init__(self, txn: Marked[M]) -> None:
        # It owns them. As a cycle it would wait for the collector, with hundreds of others.
        self._txn: Marked[M] = weakref.proxy(txn)
        self._stack: list[tuple[str, M, Any]] = []

    def newest(self) -> M | None:
        """Return the mark of the newest savepoint."""
        return self._stack[-1][1] if self._stack else None

    def set(self, name: str) -> None:
        """Set a savepoint here."""
        self._stack.append((name, self._txn.mark(), self._txn.lock_mark()))

    def undo_newest(self) -> None:
        """Take back writes and locks since the newest savepoint, if there is one: an error."""
        if self._stack:
            _, mark, locks_mark = self._stack[-1]
            self._txn.undo_to(mark)
            self._txn.give_up_locks(locks_mark)

    def rollback_to(self, name: str) -> None:
        """Take back writes and locks since the savepoint, which stays. Raises: SavepointMissing."""
        index = self._index(name)
        _, mark, locks_mark = self._stack[index]
        self._txn.undo_to(mark)
        self._txn.give_up_locks(locks_mark)
        del self._stack[index + 1 :]

    def release(self, name: str) -> None:
        """Forget the savepoint and those after it. Raises: SavepointMissing."""
        del self._stack[self._index(name) :]

    def _index(self, name: str) -> int:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index][0] == name:
                return index
        raise SavepointMissing(name)
