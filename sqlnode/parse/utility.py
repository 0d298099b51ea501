"""Statements that are not planned, as typed values: SET, BEGIN, COPY, PREPARE, cursors.

Made by utility_parser.py and data_commands.py, carried out by the session. DDL has its own nodes
in sqlnode/ddl. `kind` is the command in upper case, as its tag begins.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlnode.parse.query_syntax import PastTime, TableRef
from sqlnode.types import SqlType


@dataclass(frozen=True, slots=True)
class SetVariable:
    """SET name TO values; values None: TO DEFAULT. Names are in lower case.

    A list (search_path) has one value for each item, unquoted.
    """

    kind: ClassVar[str] = "SET"
    name: str
    values: tuple[str, ...] | None
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class ResetVariable:
    """RESET name; None: ALL."""

    kind: ClassVar[str] = "RESET"
    name: str | None


@dataclass(frozen=True, slots=True)
class ShowVariable:
    """SHOW name; None: ALL."""

    kind: ClassVar[str] = "SHOW"
    name: str | None


@dataclass(frozen=True, slots=True)
class ShowJobs:
    """SHOW JOBS, or SHOW JOB id."""

    kind: ClassVar[str] = "SHOW"
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class CancelJob:
    """CANCEL JOB id."""

    kind: ClassVar[str] = "CANCEL JOB"
    job_id: int


@dataclass(frozen=True, slots=True)
class TransactionModes:
    """What BEGIN and SET TRANSACTION say; None: not said. isolation in lower case."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    as_of: PastTime | None = None


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, or for_session: SET SESSION CHARACTERISTICS AS TRANSACTION."""

    kind: ClassVar[str] = "SET"
    modes: TransactionModes
    for_session: bool = False


@dataclass(frozen=True, slots=True)
class SetConstraints:
    """SET CONSTRAINTS; names empty: ALL."""

    kind: ClassVar[str] = "SET CONSTRAINTS"
    names: tuple[str, ...]
    deferred: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN; is_start: written START TRANSACTION, which has its own tag."""

    kind: ClassVar[str] = "BEGIN"
    modes: TransactionModes
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT or END."""

    kind: ClassVar[str] = "COMMIT"
    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    """ROLLBACK or ABORT of the whole transaction."""

    kind: ClassVar[str] = "ROLLBACK"
    chain: bool = False


@dataclass(frozen=True, slots=True)
class Savepoint:
    """SAVEPOINT name."""

    kind: ClassVar[str] = "SAVEPOINT"
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseSavepoint:
    """RELEASE name."""

    kind: ClassVar[str] = "RELEASE"
    name: str


@dataclass(frozen=True, slots=True)
class RollbackToSavepoint:
    """ROLLBACK TO name."""

    kind: ClassVar[str] = "ROLLBACK"
    name: str


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """COPY's options; None where PostgreSQL's default for the format holds.

    force_quote, force_not_null, force_null: column names, ("*",) for all.
    """

    format: str = "text"  # text | csv | binary
    delimiter: str | None = None
    null: str | None = None
    header: str = "off"  # off | on | match
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    freeze: bool = False
    force_quote: tuple[str, ...] = ()
    force_not_null: tuple[str, ...] = ()
    force_null: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY table (columns) or a query, FROM STDIN or TO STDOUT. query: a planned tree."""

    kind: ClassVar[str] = "COPY"
    table: TableRef | None
    columns: tuple[str, ...]
    query: Any
    is_from: bool
    options: CopyOptions
    where: str | None = None  # text of the condition of COPY … FROM … WHERE


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN; statement: a planned tree. options in lower case: analyze, verbose, format."""

    kind: ClassVar[str] = "EXPLAIN"
    statement: Any
    options: dict[str, str] = field(default_factory=dict)

    @property
    def analyze(self) -> bool:
        return self.options.get("analyze", "off") in ("on", "true", "1")


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE name (types) AS statement."""

    kind: ClassVar[str] = "PREPARE"
    name: str
    types: tuple[SqlType, ...]
    statement: Any


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE name (args); the arguments are expression texts, without parameters of their own."""

    kind: ClassVar[str] = "EXECUTE"
    name: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE name; None: ALL."""

    kind: ClassVar[str] = "DEALLOCATE"
    name: str | None


@dataclass(frozen=True, slots=True)
class Discard:
    """DISCARD all | plans | sequences | temp."""

    kind: ClassVar[str] = "DISCARD"
    what: str


@dataclass(frozen=True, slots=True)
class DeclareCursor:
    """DECLARE name CURSOR FOR query; scroll None: not said."""

    kind: ClassVar[str] = "DECLARE CURSOR"
    name: str
    query: Any
    scroll: bool | None = None
    hold: bool = False
    binary: bool = False


@dataclass(frozen=True, slots=True)
class FetchCursor:
    """FETCH or MOVE. direction: forward | backward | absolute | relative; count None: ALL."""

    kind: ClassVar[str] = "FETCH"
    name: str
    direction: str
    count: int | None
    is_move: bool = False


@dataclass(frozen=True, slots=True)
class CloseCursor:
    """CLOSE name; None: ALL."""

    kind: ClassVar[str] = "CLOSE"
    name: str | None


@dataclass(frozen=True, slots=True)
class Listen:
    """LISTEN channel."""

    kind: ClassVar[str] = "LISTEN"
    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """UNLISTEN channel; None: all."""

    kind: ClassVar[str] = "UNLISTEN"
    channel: str | None


@dataclass(frozen=True, slots=True)
class Notify:
    """NOTIFY channel, payload."""

    kind: ClassVar[str] = "NOTIFY"
    channel: str
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """ANALYZE, VACUUM, CHECKPOINT, REINDEX, CLUSTER; tables empty: everything."""

    kind: str
    tables: tuple[TableRef, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockTable:
    """LOCK TABLE; mode in lower case, such as access exclusive."""

    kind: ClassVar[str] = "LOCK TABLE"
    tables: tuple[TableRef, ...]
    mode: str
    nowait: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """GRANT or REVOKE, of privileges on objects or (object_kind 'role') of roles.

    privileges in lower case, ("all",) for ALL. names are qualified names.
    """

    kind: str  # GRANT | REVOKE
    privileges: tuple[str, ...]
    object_kind: str
    names: tuple[tuple[str, ...], ...]
    grantees: tuple[str, ...]
    with_option: bool = False
