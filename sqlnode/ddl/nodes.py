"""DDL statements as parsed: typed, names not yet resolved, expressions as text.

Made by grammar.py, carried out by execute.py. Expression texts are bound against the catalog when
the statement runs.
"""

from dataclasses import dataclass

from sqlnode.catalog.descriptors import FkAction, Identity
from sqlnode.types import SqlType


@dataclass(frozen=True, slots=True)
class Name:
    """A possibly qualified name; `position` is its 1-based character in the statement."""

    name: str
    schema: str | None = None
    position: int | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """Options of CREATE and ALTER SEQUENCE and of identity columns; None means not given."""

    type: SqlType | None = None
    start: int | None = None
    restart: int | None = None
    has_restart: bool = False  # RESTART without a value
    increment: int | None = None
    min_value: int | None = None
    no_min: bool = False
    max_value: int | None = None
    no_max: bool = False
    cache: int | None = None
    cycle: bool | None = None
    owned_by: tuple[Name, str] | None = None  # (table, column)
    owned_by_none: bool = False


@dataclass(frozen=True, slots=True)
class CheckDef:
    """CHECK (sql)."""

    sql: str
    name: str | None = None
    not_valid: bool = False


@dataclass(frozen=True, slots=True)
class KeyDef:
    """PRIMARY KEY or UNIQUE over columns, or over an existing index (USING INDEX)."""

    columns: tuple[str, ...]
    primary: bool
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKeyDef:
    """FOREIGN KEY; no target_columns means the target's primary key."""

    columns: tuple[str, ...]
    target: Name
    target_columns: tuple[str, ...] = ()
    on_update: FkAction = FkAction.NO_ACTION
    on_delete: FkAction = FkAction.NO_ACTION
    match_full: bool = False
    name: str | None = None
    deferrable: bool = False
    deferred: bool = False
    not_valid: bool = False


Constraint = CheckDef | KeyDef | ForeignKeyDef


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """One column; its constraints are lifted out as table constraints."""

    name: str
    type: SqlType
    serial: bool = False
    not_null: bool = False
    default: str | None = None
    identity: Identity = Identity.NONE
    identity_options: SequenceOptions = SequenceOptions()
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class LikeClause:
    """LIKE table [INCLUDING …]."""

    table: Name
    including: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CreateTable:
    """CREATE TABLE; with `query` it is CREATE TABLE AS."""

    name: Name
    columns: tuple[ColumnDef, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    likes: tuple[LikeClause, ...] = ()
    if_not_exists: bool = False
    query: str | None = None
    column_names: tuple[str, ...] = ()
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class IndexItem:
    """One key column of CREATE INDEX."""

    column: str
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """CREATE [UNIQUE] INDEX."""

    table: Name
    items: tuple[IndexItem, ...]
    name: str | None = None
    unique: bool = False
    if_not_exists: bool = False
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class CreateSequence:
    """CREATE SEQUENCE."""

    name: Name
    options: SequenceOptions
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterSequence:
    """ALTER SEQUENCE, options only."""

    name: Name
    options: SequenceOptions
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateView:
    """CREATE [OR REPLACE] VIEW."""

    name: Name
    query: str
    column_names: tuple[str, ...] = ()
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class CreateSchema:
    """CREATE SCHEMA."""

    name: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """DROP kind names. kind: table | view | index | sequence | schema."""

    kind: str
    names: tuple[Name, ...]
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """TRUNCATE."""

    tables: tuple[Name, ...]
    restart_identity: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class AddColumn:
    """ADD COLUMN."""

    column: ColumnDef
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn:
    """DROP COLUMN."""

    name: str
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class SetDefault:
    """ALTER COLUMN SET DEFAULT, or DROP DEFAULT (None)."""

    name: str
    default: str | None


@dataclass(frozen=True, slots=True)
class SetNotNull:
    """ALTER COLUMN SET or DROP NOT NULL."""

    name: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class SetType:
    """ALTER COLUMN TYPE."""

    name: str
    type: SqlType
    using: str | None = None


@dataclass(frozen=True, slots=True)
class AddConstraint:
    """ADD CONSTRAINT."""

    constraint: Constraint


@dataclass(frozen=True, slots=True)
class DropConstraint:
    """DROP CONSTRAINT."""

    name: str
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class ValidateConstraint:
    """VALIDATE CONSTRAINT."""

    name: str


@dataclass(frozen=True, slots=True)
class SetOwner:
    """OWNER TO."""

    owner: str


@dataclass(frozen=True, slots=True)
class SetSchema:
    """SET SCHEMA."""

    schema: str


Action = (
    AddColumn
    | DropColumn
    | SetDefault
    | SetNotNull
    | SetType
    | AddConstraint
    | DropConstraint
    | ValidateConstraint
    | SetOwner
    | SetSchema
)


@dataclass(frozen=True, slots=True)
class AlterTable:
    """ALTER TABLE with its actions in order."""

    name: Name
    actions: tuple[Action, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """ALTER … RENAME TO. kind: table | view | index | sequence | schema | column | constraint.

    For columns and constraints `name` is the table and `part` what is renamed.
    """

    kind: str
    name: Name
    new_name: str
    part: str | None = None
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CommentOn:
    """COMMENT ON TABLE; other objects are refused by the grammar."""

    table: Name
    text: str | None


Ddl = (
    CreateTable
    | CreateIndex
    | CreateSequence
    | AlterSequence
    | CreateView
    | CreateSchema
    | Drop
    | Truncate
    | AlterTable
    | Rename
    | CommentOn
)
