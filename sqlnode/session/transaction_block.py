"""The transaction block of a session: which statement belongs to which transaction.

**Model.**

        IDLE ── statement ──► IMPLICIT ── end of the query string, Sync ──► IDLE  (commit)
          │ BEGIN                 │ BEGIN: what ran so far joins the block
          ▼                       ▼
        OPEN ◄────────────────────┘
          │ error ──► FAILED ── ROLLBACK, COMMIT (answers ROLLBACK) ──► IDLE
          │                └── ROLLBACK TO savepoint ──► OPEN
          └ COMMIT, ROLLBACK ──► IDLE

**Invariants.** `txn` exists exactly from a transaction's first statement to its end. DDL of a
transaction is seen by its later statements through `editor`; nobody else sees it before the commit.

Source: PostgreSQL, src/backend/access/transam/xact.c.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, cast

from pgwire.errors import InvalidSavepointSpecification, ProgramLimitExceeded
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import AllocateId, CatalogEditor, EditMark
from sqlnode.session.parameters import ParameterMark, Parameters
from sqlnode.session.portal import Portal
from sqlnode.txn import Isolation, Mark, Transaction

SAVEPOINTS_MAX: Final = 10_000
_STATUS: Final = {"idle": "I", "implicit": "I", "open": "T", "failed": "E"}


class BlockState(Enum):
    """See the module's diagram."""

    IDLE = "idle"
    IMPLICIT = "implicit"
    OPEN = "open"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Past:
    """AS OF SYSTEM TIME: the snapshot, and what names meant then."""

    read_ts: int
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Modes:
    """Modes of a transaction; None: the session's default."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    past: Past | None = None


@dataclass(frozen=True, slots=True)
class SavepointMark:
    """What ROLLBACK TO goes back to, beside the writes."""

    name: str
    parameters: ParameterMark
    catalog: EditMark | None  # as edited then; None: not edited yet
    portals: tuple[Portal, ...]  # open then


class Begin(Protocol):
    """Begin a transaction; `past_ts` 0 is the present."""

    def __call__(
        self, isolation: Isolation, read_only: bool, past_ts: int = 0, /
    ) -> Transaction: ...


class TransactionBlock:
    """The state of one session's transaction."""

    def __init__(
        self,
        parameters: Parameters,
        begin: Begin,
        catalog: Callable[[], Catalog],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin idle; `ended` is called whenever a transaction is over."""
        self.state = BlockState.IDLE
        self.txn: Transaction | None = None
        self.editor: CatalogEditor | None = None
        self.is_read_only = False
        self.statement_count = 0  # in this transaction, finished ones
        self.has_queried = False  # its modes are fixed
        self._parameters = parameters
        self._begin = begin
        self._current_catalog = catalog
        self._ended = ended
        self._catalog: Catalog | None = None
        self._modes = Modes()
        self._mark: ParameterMark | None = None
        self._savepoints: list[SavepointMark] = []

    # What it is

    @property
    def status(self) -> str:
        """The letter of ReadyForQuery."""
        return _STATUS[self.state.value]

    @property
    def is_block(self) -> bool:
        """True inside BEGIN … COMMIT, failed or not."""
        return self.state in (BlockState.OPEN, BlockState.FAILED)

    @property
    def catalog(self) -> Catalog:
        """The catalog that statements bind against."""
        if self.editor is not None:
            return self.editor.catalog
        return self._catalog or self._current_catalog()

    @property
    def base_catalog(self) -> Catalog:
        """The catalog that the transaction began with or followed, its own changes left out."""
        return self._catalog or self._current_catalog()

    @property
    def catalog_version_used(self) -> int:
        """The catalog version that the running transaction is planned against, 0 without one.

        A failed block has given its transaction up: it needs none, however long it stays open.
        """
        return 0 if self.txn is None or self.txn.is_over else self.txn.catalog_version

    @property
    def is_catalog_edited(self) -> bool:
        """True after DDL in this transaction: its plans are nobody else's."""
        return self.editor is not None and self.editor.is_changed

    @property
    def modes(self) -> Modes:
        """What BEGIN and SET TRANSACTION said."""
        return self._modes

    @property
    def past(self) -> Past | None:
        """The past that the transaction reads, None for the present."""
        return self._modes.past

    def read_past(self, past: Past) -> None:
        """Make the transaction of the statement that begins now one that reads the past."""
        self.protect_parameters()
        self.set_modes(Modes(past=past))

    @contextmanager
    def planning_for(self, past: Past) -> Iterator[None]:
        """Bind against a past catalog; no transaction is begun."""
        before, self._catalog = self._catalog, past.catalog
        try:
            yield
        finally:
            self._catalog = before

    @property
    def has_savepoints(self) -> bool:
        return bool(self._savepoints)

    # Beginning

    def ensure(self, *, read_only: bool = False) -> Transaction:
        """Return the transaction, begun if there is none.

        `read_only` says that the one statement it is begun for writes nothing.
        """
        if self.txn is None:
            if self.state is BlockState.IDLE:
                self.state = BlockState.IMPLICIT
            if self._mark is None:
                self._mark = self._parameters.mark()
            isolation, self.is_read_only = self._effective()
            past = self._modes.past
            if past is not None:
                self._catalog = past.catalog
                self.txn = self._begin(isolation, True, past.read_ts)
                return self.txn
            self._catalog = self._current_catalog()
            self.txn = self._begin(isolation, self.is_read_only or read_only)
        return self.txn

    def begin_serializable(self) -> Transaction:
        """Begin a transaction for one statement, serializable whatever the session's level is.

        Requires: nothing ran in the present one.
        """
        self.txn = None
        txn = self.ensure()
        if txn.isolation != "serializable":
            txn = self.txn = self._begin("serializable", self.is_read_only)
        return txn

    def begin_work(self, *, read_only: bool = False) -> Transaction:
        """As `ensure`; from now on the transaction's modes stand."""
        self.has_queried = True
        return self.ensure(read_only=read_only)

    def begin_block(self, modes: Modes) -> None:
        """BEGIN. Requires: no block is open. An implicit transaction becomes the block."""
        self.state = BlockState.OPEN
        if self._mark is None:
            self._mark = self._parameters.mark()
        self.set_modes(modes)

    def set_modes(self, modes: Modes) -> None:
        """Change the transaction's modes. Requires: its first query has not run if isolation."""
        self._modes = Modes(
            self._modes.isolation if modes.isolation is None else modes.isolation,
            self._modes.read_only if modes.read_only is None else modes.read_only,
            self._modes.deferrable if modes.deferrable is None else modes.deferrable,
            self._modes.past if modes.past is None else modes.past,
        )
        if modes.past is not None:
            self.txn, self._catalog = None, modes.past.catalog
        isolation, self.is_read_only = self._effective()
        if self.txn is not None and self.txn.isolation != isolation:
            assert not self.has_queried, "the caller checked that nothing was read"
            self.txn = None
            if self.past is None:
                self._catalog = None
        self._show_modes()

    def _effective(self) -> tuple[Isolation, bool]:
        values = self._parameters.values
        isolation = self._modes.isolation or values["default_transaction_isolation"]
        if isolation == "read uncommitted":
            isolation = "read committed"
        if self._modes.past is not None:  # one snapshot for all its statements
            isolation = "repeatable read" if isolation == "read committed" else isolation
            return cast(Isolation, isolation), True
        read_only = self._modes.read_only
        if read_only is None:
            read_only = values["default_transaction_read_only"] == "on"
        return cast(Isolation, isolation), read_only

    def _show_modes(self) -> None:
        isolation, read_only = self._effective()
        written = self._modes.isolation or isolation
        shown = {
            "transaction_isolation": written,
            "transaction_read_only": "on" if read_only else "off",
            "transaction_deferrable": "on" if self._modes.deferrable else "off",
        }
        self._parameters.set_transaction(shown)

    def protect_parameters(self) -> None:
        """SET is about to change parameters: a rollback takes that back."""
        if self.state is BlockState.IDLE:
            self.state = BlockState.IMPLICIT
        if self._mark is None:
            self._mark = self._parameters.mark()

    def follow(self, catalog: Catalog) -> None:
        """Bind later statements against a newer catalog."""
        self._catalog = catalog

    def catalog_mark(self) -> EditMark | None:
        """Return a mark of the catalog as edited so far, None if it is not."""
        return None if self.editor is None else self.editor.mark()

    def undo_edits(self, mark: EditMark | None) -> None:
        """Take edits since `catalog_mark` back."""
        if self.editor is not None:
            self.editor.undo_to(mark)

    def edit_catalog(self, allocate_id: AllocateId) -> CatalogEditor:
        """Return the editor of this transaction's DDL."""
        if self.editor is None:
            assert self.txn is not None, "DDL runs in a transaction"
            self.editor = CatalogEditor(self.txn, self.base_catalog, allocate_id)
        return self.editor

    # Savepoints

    def savepoint(self, name: str, portals: Sequence[Portal] = ()) -> None:
        """SAVEPOINT; `portals` are open and outlive going back. Raises: ProgramLimitExceeded."""
        if len(self._savepoints) >= SAVEPOINTS_MAX:
            raise ProgramLimitExceeded(f"more than {SAVEPOINTS_MAX} savepoints in a transaction")
        catalog = self.catalog_mark()
        self.ensure().savepoints.set(name)
        parameters = self._parameters.mark()
        self._savepoints.append(SavepointMark(name, parameters, catalog, tuple(portals)))

    @property
    def lasting_portals(self) -> tuple[Portal, ...]:
        """Portals that outlive an error: those that were open at the newest savepoint."""
        return self._savepoints[-1].portals if self._savepoints else ()

    def release(self, name: str) -> None:
        """RELEASE. Raises: InvalidSavepointSpecification."""
        index = self._index(name)
        self.ensure().savepoints.release(name)
        del self._savepoints[index:]

    def rollback_to(self, name: str) -> tuple[Portal, ...]:
        """ROLLBACK TO: a failed block goes on from there; return the portals that stay open.

        Raises: InvalidSavepointSpecification.
        """
        index = self._index(name)
        self.ensure().savepoints.rollback_to(name)
        mark = self._savepoints[index]
        del self._savepoints[index + 1 :]
        self._parameters.undo_to(mark.parameters)
        self.undo_edits(mark.catalog)
        self.state = BlockState.OPEN
        return mark.portals

    def _index(self, name: str) -> int:
        for index in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[index].name == name:
                return index
        raise InvalidSavepointSpecification(f'savepoint "{name}" does not exist')

    # Ending

    def statement_mark(self) -> Mark | None:
        """Begin a statement in the running transaction."""
        return None if self.txn is None else self.txn.begin_statement()

    async def fail(self) -> None:
        """Make an open block a failed one; the caller rolls an implicit one back.

        Locks go at once, as in PostgreSQL: all of them, or those since the newest savepoint.
        """
        if self.state is not BlockState.OPEN:
            return
        self.state = BlockState.FAILED
        if self.txn is not None and self._savepoints:
            self.txn.savepoints.undo_newest()
        elif self.txn is not None:
            await self.txn.rollback()
            self._ended()

    async def commit(self) -> None:
        """Commit what there is; whatever happens, the transaction is over afterwards."""
        txn = self.txn
        if txn is None:
            self._finish(is_committed=True)
            return
        if self.editor is not None and self.editor.is_changed:
            txn.changed = self.editor.changed() or None  # a table made and dropped is no change
        try:
            await txn.commit()
        except BaseException:
            self._finish(is_committed=False)
            raise
        self._finish(is_committed=True)

    async def rollback(self) -> None:
        """Give up what there is."""
        txn = self.txn
        if txn is not None:
            await txn.rollback()
        self._finish(is_committed=False)

    async def restart(self) -> None:
        """Roll back an implicit transaction so that its statement can run again."""
        if self.txn is not None:
            await self.txn.rollback()
        self.txn = None
        self.editor = None
        self._catalog = None if self.past is None else self.past.catalog
        self._ended()

    def _finish(self, *, is_committed: bool) -> None:
        self.state = BlockState.IDLE
        self.txn = None
        self.editor = None
        self._catalog = None
        self._ended()
        self.statement_count = 0
        self.has_queried = False
        if self._mark is not None:
            if is_committed:
                self._parameters.end_transaction()
            else:
                self._parameters.undo_to(self._mark)
            self._mark = None
        if self._savepoints:
            self._savepoints.clear()
        if self._modes is not _NO_MODES:
            self._modes = _NO_MODES
            self._parameters.set_transaction({})


_NO_MODES: Final = Modes()
