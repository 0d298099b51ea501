"""Descriptors: the schema as immutable values, one record each under the catalog span.

**Model.** DDL replaces whole descriptors in one transaction that also raises the catalog version;
nothing is edited in place. Expressions (defaults, checks, views) are kept as SQL text and bound
again when the catalog is loaded. Encoded as MessagePack arrays by msgspec, tagged with the class
name.

**Invariants.** Column ids (attnum) and index ids are never reused within a table. A row written
under layout version v is readable for ever, because `layouts` keeps every version. `pg_catalog`
OIDs are the descriptor ids.
"""

import enum
from typing import Final

import msgspec

from sqlnode.types import SqlType

PUBLIC_SCHEMA_ID = 2200  # PostgreSQL's OID of schema public
FIRST_USER_ID = 16384  # PostgreSQL's FirstNormalObjectId


class Identity(enum.StrEnum):
    """GENERATED … AS IDENTITY of a column."""

    NONE = ""
    ALWAYS = "a"
    BY_DEFAULT = "d"


class IndexState(enum.StrEnum):
    """How far an index is built; see docs/adr/0007."""

    DELETE_ONLY = "delete-only"  # writers remove entries
    WRITE_ONLY = "write-only"  # writers maintain entries; older rows may lack theirs
    PUBLIC = "public"  # complete: readers use it


class ColumnState(enum.StrEnum):
    """How far a column has come or gone; see docs/adr/0007."""

    PUBLIC = ""
    ADDING = "adding"  # hidden: writers keep what rows have, new rows get the default
    KNOWN = "known"  # hidden: its layout can be read, rows are written without it
    FILLING = "filling"  # hidden: writers compute it, older rows may lack it
    FILLED = "filled"  # hidden: every row has it; writers keep it, and compute it for new rows
    LEAVING = "leaving"  # public, and takes NULL from now on
    DROPPING = "dropping"  # hidden: writers keep what rows have, new rows get NULL


FILLED_STATES: Final = (ColumnState.FILLING, ColumnState.FILLED)


class FkAction(enum.StrEnum):
    """What happens to referencing rows; letters as in pg_constraint."""

    NO_ACTION = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


class ColumnDesc(msgspec.Struct, frozen=True, array_like=True):
    """One column; `attnum` is its identity for ever."""

    attnum: int
    name: str
    type_oid: int
    typmod: int = -1
    not_null: bool = False
    default_sql: str | None = None  # PostgreSQL's deparsed form, as \d prints it
    identity: Identity = Identity.NONE
    sequence_id: int = 0  # of SERIAL and IDENTITY columns
    hidden: bool = False  # the row id of a table without primary key, or not public yet or any more
    missing: bytes | None = None  # ADD COLUMN … DEFAULT: text form of the value older rows have
    refuses_null: bool = False  # SET NOT NULL under way: enforced, older rows may have NULL
    state: ColumnState = ColumnState.PUBLIC
    stored_as: int = 0  # its id in layouts, if that is not `attnum`: ALTER TYPE gave it a new one
    fill_sql: str | None = None  # while it is filled: what rows get, over the public columns
    replaces: int = 0  # while ALTER TYPE fills it: attnum of the column that it takes the place of

    @property
    def type(self) -> SqlType:
        return SqlType(self.type_oid, self.typmod)

    @property
    def storage_id(self) -> int:
        """What stands for the column in layouts."""
        return self.stored_as or self.attnum

    @property
    def is_unseen(self) -> bool:
        """Whether it is hidden because it comes or goes."""
        return self.hidden and self.state is not ColumnState.PUBLIC


class IndexColumn(msgspec.Struct, frozen=True, array_like=True):
    """One key column of an index."""

    attnum: int
    descending: bool = False
    nulls_first: bool = False


class IndexDesc(msgspec.Struct, frozen=True, array_like=True):
    """An index. The primary one (id 1) holds the rows.

    Key of a secondary entry: index columns, then the primary key's columns; value empty. Entries of
    a UNIQUE index whose columns are all not null have no primary key in the key; it is the value
    then.
    """

    index_id: int
    oid: int
    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    primary: bool = False
    constraint: bool = False  # made by PRIMARY KEY or UNIQUE, not by CREATE INDEX
    constraint_oid: int = 0
    method: str = "btree"
    state: IndexState = IndexState.PUBLIC


class CheckDesc(msgspec.Struct, frozen=True, array_like=True):
    """A CHECK constraint."""

    oid: int
    name: str
    sql: str  # deparsed expression without the word CHECK
    columns: tuple[int, ...] = ()
    validated: bool = True  # else enforced for new rows only
    in_job: bool = False  # that adds or validates it


class ForeignKeyDesc(msgspec.Struct, frozen=True, array_like=True):
    """A FOREIGN KEY of the table that holds this descriptor."""

    oid: int
    name: str
    columns: tuple[int, ...]
    target_table_id: int
    target_columns: tuple[int, ...]
    on_update: FkAction = FkAction.NO_ACTION
    on_delete: FkAction = FkAction.NO_ACTION
    match_full: bool = False
    deferrable: bool = False
    deferred: bool = False  # INITIALLY DEFERRED
    validated: bool = True  # else enforced for new rows only
    in_job: bool = False  # that adds or validates it


class LayoutDesc(msgspec.Struct, frozen=True, array_like=True):
    """Which columns a row of this layout version stores, in order: their storage ids."""

    version: int
    attnums: tuple[int, ...]


class TableDesc(msgspec.Struct, frozen=True, array_like=True, tag="table"):
    """A table; its id is its OID and the table id of its keys."""

    id: int
    schema_id: int
    name: str
    owner: str
    columns: tuple[ColumnDesc, ...]  # living ones, by attnum
    primary: IndexDesc
    indexes: tuple[IndexDesc, ...] = ()
    checks: tuple[CheckDesc, ...] = ()
    foreign_keys: tuple[ForeignKeyDesc, ...] = ()
    layouts: tuple[LayoutDesc, ...] = ()  # see `written`
    next_attnum: int = 1
    next_index_id: int = 2
    data_id: int = 0  # TRUNCATE gives a new one: table id of the keys; 0 means `id`
    comment: str | None = None
    dropped_columns: tuple[ColumnDesc, ...] = ()  # so that old layouts stay decodable
    building: tuple[IndexDesc, ...] = ()  # not public yet: for writers only

    @property
    def row_constraints(self) -> tuple[CheckDesc | ForeignKeyDesc, ...]:
        """What each row must meet, and may be NOT VALID."""
        return (*self.checks, *self.foreign_keys)

    @property
    def key_id(self) -> int:
        """The table id in this table's keys."""
        return self.data_id or self.id

    @property
    def written(self) -> LayoutDesc:
        """The layout of new rows: the last one, but while a column comes or goes that before it.

        A column that is filled comes with its layout.
        """
        is_early = any(c.is_unseen and c.state not in FILLED_STATES for c in self.columns)
        return self.layouts[-2 if is_early else -1]

    def column(self, attnum: int) -> ColumnDesc:
        return next(column for column in self.columns if column.attnum == attnum)

    def find_column(self, name: str) -> ColumnDesc | None:
        return next((c for c in self.columns if c.name == name and not c.hidden), None)


class SequenceDesc(msgspec.Struct, frozen=True, array_like=True, tag="sequence"):
    """A sequence; its counter is layout.sequence_key(id)."""

    id: int
    schema_id: int
    name: str
    owner: str
    type_oid: int = 20
    start: int = 1
    increment: int = 1
    min_value: int = 1
    max_value: int = 2**63 - 1
    cycle: bool = False
    cache: int = 1
    owned_by: tuple[int, int] | None = None  # (table id, attnum)


class ViewDesc(msgspec.Struct, frozen=True, array_like=True, tag="view"):
    """A view: its query as text, its columns as they were bound at creation."""

    id: int
    schema_id: int
    name: str
    owner: str
    sql: str
    columns: tuple[ColumnDesc, ...]
    depends_on: tuple[int, ...] = ()  # relation ids
    # (relation id, first attnum that was not there yet): what came later is not in a view's `*`
    widths: tuple[tuple[int, int], ...] = ()


class SchemaDesc(msgspec.Struct, frozen=True, array_like=True, tag="schema"):
    """A schema (namespace)."""

    id: int
    name: str
    owner: str


class DatabaseDesc(msgspec.Struct, frozen=True, array_like=True, tag="database"):
    """A database. A tenant starts with one, `defaultdb`; all share one catalog for now."""

    id: int
    name: str
    owner: str


Descriptor = TableDesc | SequenceDesc | ViewDesc | SchemaDesc | DatabaseDesc
Relation = TableDesc | SequenceDesc | ViewDesc

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Descriptor)


def encode_descriptor(descriptor: Descriptor) -> bytes:
    """Encode for storage."""
    return _encoder.encode(descriptor)


def decode_descriptor(data: bytes) -> Descriptor:
    """Decode what encode_descriptor wrote. Raises msgspec.DecodeError on a damaged record."""
    return _decoder.decode(data)
