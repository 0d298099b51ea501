"""The engine of production: one LMDB environment.

**Model.** LMDB is a copy-on-write B+tree in a memory-mapped file; a commit writes new pages,
syncs, then writes one of two meta pages. So readers never wait, and a torn commit is simply the
older of the two trees.

LMDB itself syncs the pages before it writes the meta page (`metasync=False`), so that at any moment
the disk has a whole tree, of the last commit or the one before; a synced write then syncs the meta
page as well. Bulk need not: it is half the syncs that a neighbour's commit may come to wait for.
Nor has who was killed between the two done so: what is found when the store is opened is synced
before anybody reads it.

**Invariants.** `lib_version=1` is chosen when the store is made, for keys of 1,978 bytes. The map
is address space, not disk: it starts large and doubles up to `map_bytes_max`. A store is made under
another name, synced, then renamed: after a power failure it is there whole or not at all, while
LMDB by itself may leave a file that it never opens again.

**Source.** LMDB documentation, "Restrictions and Caveats", MDB_NOMETASYNC; py-lmdb 3.0.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lmdb

from kvapi.errors import DiskFull
from kvnode.storage.engine import Row, StoreCorrupt, StoreNeedsGrowth, Table
from kvnode.storage.file_room import FileRoom

_LIB_VERSION: Final = 1
_DATA_FILE: Final = "data.mdb"
_DRAFT_FILE: Final = "draft.mdb"
_GROW_ABOVE: Final = 0.75  # of the map in use


@dataclass(frozen=True, kw_only=True, slots=True)
class LmdbConfig:
    """Sizes of the map, in bytes of address space."""

    map_bytes: int = 8 << 30
    map_bytes_max: int = 4 << 40
    readers_max: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.map_bytes <= self.map_bytes_max:
            raise ValueError(f"map_bytes must be in 1..{self.map_bytes_max}, got {self.map_bytes}")


class MetaNotSynced(BaseException):
    """A commit is visible of which nobody knows whether the disk has it: the process has to end."""


class LmdbEngine:
    """An `Engine` over one LMDB environment in the folder `path`."""

    def __init__(self, path: Path, config: LmdbConfig | None = None) -> None:
        self._config = config or LmdbConfig()
        try:
            if not (path / _DATA_FILE).exists():
                _make_store(path, self._config)
            self._env, self._dbs = _open(path, self._config)
            self._env.sync()  # who wrote last may have been killed before its sync
        except lmdb.Error as error:
            raise StoreCorrupt(f"cannot open the store in {path}: {error}") from error
        self.key_bytes_max: int = self._env.max_key_size()
        self._page_bytes: int = self._env.stat()["psize"]
        self._room = FileRoom(path / _DATA_FILE)
        self._extent = (0, 0)  # bytes in use, and of the map, when it was written last

    def snapshot(self) -> "LmdbView":
        txn = self._env.begin(db=self._dbs[Table.LIVE])
        return LmdbView(txn, self._dbs, self.key_bytes_max)

    @contextmanager
    def write(self, *, is_synced: bool = True) -> Iterator["LmdbView"]:
        try:
            with self._env.begin(write=True) as txn:
                view = LmdbView(txn, self._dbs, self.key_bytes_max)
                try:
                    yield view
                finally:
                    view.close_cursors()
            if is_synced:
                self._sync_meta()
            info = self._env.info()
            self._extent = (info["last_pgno"] + 1) * self._page_bytes, info["map_size"]
        except lmdb.MapFullError as error:
            raise StoreNeedsGrowth from error
        except (lmdb.Error, OSError) as error:
            if _is_disk_full(error):
                raise DiskFull(f"the store cannot be written: {error}") from error
            raise

    def _sync_meta(self) -> None:
        try:
            self._env.sync()
        except lmdb.Error as error:
            raise MetaNotSynced from error

    def needs_growth(self) -> bool:
        map_bytes: int = self._env.info()["map_size"]
        # At its end the map is used up to the last page: much of what counts as used may be free.
        has_room = map_bytes < self._config.map_bytes_max
        return has_room and self.used_bytes() > _GROW_ABOVE * map_bytes

    def grow(self) -> None:
        map_bytes = self._env.info()["map_size"]
        if map_bytes >= self._config.map_bytes_max:
            raise DiskFull(f"the store reached its limit of {self._config.map_bytes_max} bytes")
        self._env.set_mapsize(min(2 * map_bytes, self._config.map_bytes_max))

    def used_bytes(self) -> int:
        return int((self._env.info()["last_pgno"] + 1) * self._page_bytes)

    def make_room(self) -> bool:
        used_bytes, map_bytes = self._extent
        return self._room.keep(used_bytes, limit_bytes=map_bytes)

    def close(self) -> None:
        self._room.close()
        self._env.close()


class LmdbView:
    """Snapshot and write transaction in one: LMDB tells them apart."""

    __slots__ = ("_cursors", "_dbs", "_key_bytes_max", "_txn", "_txn_get")

    def __init__(self, txn: Any, dbs: dict[Table, Any], key_bytes_max: int) -> None:
        self._txn = txn
        self._txn_get = txn.get
        self._dbs = dbs
        self._cursors: dict[Table, Any] = {}
        self._key_bytes_max = key_bytes_max

    def get(self, table: Table, key: bytes) -> bytes | None:
        if len(key) > self._key_bytes_max:
            return None  # LMDB refuses to look for what it cannot hold
        value: bytes | None = self._txn_get(key, None, self._dbs[table])
        return value

    def get_many(self, table: Table, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        limit = self._key_bytes_max
        if any(len(key) > limit for key in keys):
            keys = [key for key in keys if len(key) <= limit]
        return dict(self._cursor(table).getmulti(keys))

    def seek(self, table: Table, key: bytes) -> Row | None:
        cursor = self._cursor(table)
        return cursor.item() if self._place(cursor, key) else None

    def seek_before(self, table: Table, key: bytes) -> Row | None:
        cursor = self._cursor(table)
        return cursor.item() if self._place_before(cursor, key) else None

    def rows_from(self, table: Table, start: bytes) -> Iterator[Row]:
        cursor = self._txn.cursor(self._dbs[table])
        if not self._place(cursor, start):
            return iter(())
        rows: Iterator[Row] = cursor.iternext(True, True)
        return rows

    def rows_before(self, table: Table, end: bytes) -> Iterator[Row]:
        cursor = self._txn.cursor(self._dbs[table])
        if not self._place_before(cursor, end):
            return iter(())
        rows: Iterator[Row] = cursor.iterprev(True, True)
        return rows

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._dbs[table])

    def put_many(self, table: Table, rows: Sequence[Row]) -> None:
        self._cursor(table).putmulti(rows)

    def delete(self, table: Table, key: bytes) -> bool:
        return bool(self._txn.delete(key, b"", self._dbs[table]))

    def close(self) -> None:
        self.close_cursors()
        self._txn.abort()

    def close_cursors(self) -> None:
        """Close the cached cursors; LMDB wants that before a write transaction ends."""
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()

    def _cursor(self, table: Table) -> Any:
        if (cursor := self._cursors.get(table)) is None:
            cursor = self._cursors[table] = self._txn.cursor(self._dbs[table])
        return cursor

    def _place(self, cursor: Any, key: bytes) -> bool:
        if len(key) <= self._key_bytes_max:
            return bool(cursor.set_range(key) if key else cursor.first())
        # No stored key is longer than the limit: between the cut key and `key` is only the former.
        cut = key[: self._key_bytes_max]
        if not cursor.set_range(cut):
            return False
        return bool(cursor.next()) if cursor.key() == cut else True

    def _place_before(self, cursor: Any, key: bytes) -> bool:
        if not key:
            return bool(cursor.last())
        return bool(cursor.prev() if self._place(cursor, key) else cursor.last())


def _open(path: Path, config: LmdbConfig) -> tuple[Any, dict[Table, Any]]:
    env = lmdb.open(
        str(path),
        subdir=path.is_dir(),
        map_size=config.map_bytes,
        max_dbs=len(Table),
        max_readers=config.readers_max,
        lib_version=_LIB_VERSION,
        metasync=False,
    )
    return env, {table: env.open_db(table.value.encode()) for table in Table}


def _make_store(path: Path, config: LmdbConfig) -> None:
    path.mkdir(parents=True, exist_ok=True)
    draft = path / _DRAFT_FILE
    draft.unlink(missing_ok=True)  # of a start that was cut off
    env, _ = _open(draft, config)
    env.sync()
    env.close()
    (path / f"{_DRAFT_FILE}-lock").unlink()
    draft.rename(path / _DATA_FILE)
    for folder in (path, path.parent):
        _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable: syncing a file does not."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    text = str(error)
    return any(
        words in text for words in ("No space left", "Disk quota exceeded", "File too large")
    )
