"""What a disk may hold after a power failure, from the log of everything a process wrote.

**Model.** A write is on disk for certain once its file was synced after it, or at once through an
O_DSYNC descriptor. Until then the kernel may have written any of its blocks, in any order: of each
block the disk has the certain content or that after any of the later writes. Names of files are
journaled: of a folder's changes since its last fsync, the disk has the first few. A sector of
512 bytes is written whole or not at all; disks promise that much, and LMDB's meta record (120
bytes inside one sector) relies on it.
"""

import random
import struct
import subprocess
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

PAGE = 4096
SECTOR = 512
_LOCK_FILES = ("lock.mdb", "-lock")  # shared memory of live processes; nobody syncs them
_HEADER = struct.Struct("=IIIIQQ")
_SOURCE = Path(__file__).with_name("write_log.c")


class Kind(IntEnum):
    """As in write_log.c."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    CREATE = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    MAPPED_FOR_WRITING = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the log; paths are relative to the watched folder."""

    kind: Kind
    is_sync: bool
    path: str
    second: str
    offset: int
    data: bytes


def build_logger(folder):
    """Compile the library that logs; return its path."""
    library = folder / "write_log.so"
    command = ["gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(_SOURCE), "-lpthread"], check=True, timeout=60)
    return library


def read_log(path, folder):
    """Return the events of a log."""
    log, position, events = path.read_bytes(), 0, []
    root = str(folder.resolve())

    def text(length):
        nonlocal position
        position += length
        return log[position - length : position].decode().removeprefix(root).lstrip("/")

    while position < len(log):
        kind, is_sync, path_bytes, second_bytes, offset, length = _HEADER.unpack_from(log, position)
        position += _HEADER.size
        names = text(path_bytes), text(second_bytes)
        events.append(
            Event(Kind(kind), bool(is_sync), *names, offset, log[position : position + length])
        )
        is_lock = names[0].endswith(_LOCK_FILES)
        assert is_lock or kind != Kind.MAPPED_FOR_WRITING, f"{names[0]}: writes pass unseen"
        position += length
    return events


@dataclass(frozen=True, slots=True)
class Change:
    """A write, or a new length where `data` is None; certain after an O_DSYNC write."""

    offset: int
    data: bytes | None
    is_certain: bool

    @property
    def end(self):
        return self.offset + len(self.data or b"")

    def blocks(self, unit):
        return range(self.offset // unit, -(-self.end // unit) if self.data else 0)


@dataclass(slots=True)
class DiskFile:
    """Certain content, and the changes that may or may not be on disk."""

    certain: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def sync(self):
        self.certain = self.after_crash(Keep.ALL, None)
        self.pending.clear()

    def after_crash(self, keep, rng):
        """Return a content that the disk may have."""
        content = bytearray(self.certain)
        if keep is Keep.NONE or not self.pending:
            return content
        if keep is Keep.ALL:
            for change in self.pending:
                _apply(content, change.offset, change.data)
            return content
        size = len(content)
        unit = rng.choice((PAGE, PAGE, SECTOR))
        share = rng.choice((0.1, 0.5, 0.9))
        newest = {}  # block → the write that is its last one on disk
        for number, change in enumerate(self.pending):
            size = max(size, change.end)
            for block in change.blocks(unit):
                if change.is_certain or rng.random() < share:
                    newest[block] = number
        for number, change in enumerate(self.pending):
            for block in change.blocks(unit):
                if number <= newest.get(block, -1):
                    low, high = (
                        max(change.offset, block * unit),
                        min(change.end, (block + 1) * unit),
                    )
                    _apply(content, low, change.data[low - change.offset : high - change.offset])
        if rng.random() < 0.5:  # the file had grown already, its blocks were not written yet
            content.extend(bytes(max(0, size - len(content))))
        return content


class Keep(IntEnum):
    """What becomes of writes that were not synced."""

    NONE = 0
    ALL = 1
    SOME = 2


class Disk:
    """The files of the watched folder as events come in."""

    def __init__(self):
        self.names = {}  # what is there while the power is on
        self.certain_names = {}
        self.name_changes = []  # of all folders, in order: (folder, names to set, names to drop)

    def step(self, event):
        path = event.path
        if event.kind is Kind.CREATE:
            self._rename({path: DiskFile()}, [])
        elif event.kind is Kind.RENAME:
            self._rename({event.second: self.names[path]}, [path])
        elif event.kind is Kind.UNLINK:
            self._rename({}, [path])
        elif event.kind is Kind.MKDIR:
            self._rename({path: None}, [])
        elif event.kind is Kind.SYNC:
            self._sync(path)
        elif (file := self.names.get(path)) is not None and not path.endswith(_LOCK_FILES):
            assert event.kind is Kind.WRITE or not file.pending, "cuts are not modelled"
            data = event.data if event.kind is Kind.WRITE else None
            change = Change(event.offset, data, event.is_sync)
            file.pending.append(change)
            if event.is_sync:
                _apply(file.certain, change.offset, data)

    def after_crash(self, keep, rng):
        """Return name → content (None: a folder) that the disk may have."""
        changes = self.name_changes
        count = {Keep.NONE: 0, Keep.ALL: len(changes)}.get(keep, rng.randint(0, len(changes)))
        names = dict(self.certain_names)
        for _, added, dropped in changes[:count]:
            _change_names(names, added, dropped)
        content = {}
        for name, file in names.items():
            folder = name.rpartition("/")[0]
            if not folder or folder in names:  # else: not reachable
                content[name] = None if file is None else file.after_crash(keep, rng)
        return content

    def _rename(self, added, dropped):
        folder = next(iter([*added, *dropped])).rpartition("/")[0]
        _change_names(self.names, added, dropped)
        self.name_changes.append((folder, added, dropped))

    def _sync(self, path):
        if (file := self.names.get(path)) is not None:
            file.sync()
            return
        for folder, added, dropped in self.name_changes:
            if folder == path:
                _change_names(self.certain_names, added, dropped)
        self.name_changes = [change for change in self.name_changes if change[0] != path]


def write_image(content, folder, rng):
    """Lay a disk's content out as files, with a lock file as a crash may leave it."""
    folder.mkdir()
    for name, data in sorted(content.items()):
        path = folder / name
        if data is None:
            path.mkdir(exist_ok=True)
        elif not name.endswith(_LOCK_FILES):
            path.write_bytes(data)
        elif rng.random() < 0.5:
            path.write_bytes(rng.randbytes(rng.choice((0, 100, 2 * PAGE))))


def _apply(content, offset, data):
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _change_names(names, added, dropped):
    for name in dropped:
        names.pop(name, None)
    names.update(added)


def seeded(*parts):
    """Return a generator that depends on `parts` alone."""
    return random.Random(repr(parts))
