"""The data directory of one KV node, and its secrets.

    store/           LMDB
    cluster.json     cluster id
    cluster.secret   signs credentials (mode 0600)
    admin.token      lets operators in (mode 0600)
    lock             held while a node runs

**Invariants.** One node at a time: two writers that each cache timestamps and locks would lose
commits. The lock is the kernel's (flock), so a killed node leaves none behind.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kvapi.credential import CLUSTER_ID_BYTES
from kvnode.core import Identity
from runtime.config_error import ConfigError

_SECRET_BYTES = 32


class _Cluster(msgspec.Struct):
    """cluster.json."""

    cluster_id: str


@dataclass(frozen=True, slots=True)
class DataDir:
    """What a node finds in its data directory."""

    store: Path
    identity: Identity
    admin_token: str


@contextmanager
def open_data_dir(path: Path) -> Iterator[DataDir]:
    """Lock the directory and read it; make what is missing. Raises: ConfigError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"cannot use the data directory {path}: {error}") from error
    with locked(path):
        secret = bytes.fromhex(_read_or_make(path / "cluster.secret", mode=0o600))
        token = _read_or_make(path / "admin.token", mode=0o600)
        yield DataDir(store_path(path), Identity(_cluster_id(path / "cluster.json"), secret), token)


def store_path(path: Path) -> Path:
    """Return where the store of a data directory is."""
    return path / "store"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other nodes off the directory. Raises: ConfigError."""
    try:
        lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot use the data directory {path}: {error}") from error
    try:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another KV node runs on the data directory {path}") from error
        yield
    finally:
        os.close(lock_fd)


def _cluster_id(path: Path) -> bytes:
    if not path.exists():
        fresh = _Cluster(secrets.token_bytes(CLUSTER_ID_BYTES).hex())
        _write_durably(path, msgspec.json.encode(fresh).decode() + "\n", mode=0o644)
    try:
        cluster_id = bytes.fromhex(msgspec.json.decode(path.read_bytes(), type=_Cluster).cluster_id)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if len(cluster_id) != CLUSTER_ID_BYTES:
        raise ConfigError(f"{path} is damaged: a cluster id has {CLUSTER_ID_BYTES} bytes")
    return cluster_id


def _read_or_make(path: Path, *, mode: int) -> str:
    if not path.exists():
        _write_durably(path, secrets.token_hex(_SECRET_BYTES) + "\n", mode=mode)
    text = path.read_text().strip()
    if len(text) != 2 * _SECRET_BYTES:
        raise ConfigError(f"{path} is damaged: expected {2 * _SECRET_BYTES} hexadecimal digits")
    return text


def _write_durably(path: Path, text: str, *, mode: int) -> None:
    """Write a file that is there whole or not at all, also after a power failure."""
    draft = path.with_name(f".{path.name}.draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
