"""Finding the stack that runs on a data directory."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cli.errors import NOT_READY, CommandFailed
from runtime.atomic_file import write_json_atomically
from runtime.os_process import is_running
from runtime.run_dir import find_run_dir


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Where a running stack serves, as its record `DATA_DIR/insula.json` says."""

    data_dir: Path
    pid: int
    pg: str
    http: str
    kv: str
    admin: str

    @property
    def pg_host(self) -> str:
        """A host that a client on this machine can connect to."""
        host = self.pg.rpartition(":")[0].strip("[]")
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    @property
    def pg_port(self) -> int:
        """The port of PostgreSQL clients."""
        return int(self.pg.rpartition(":")[2])

    @property
    def run_dir(self) -> Path:
        """The folder of the trusted Unix socket."""
        return find_run_dir(self.data_dir)

    @property
    def admin_token(self) -> str:
        """What TenantAdmin wants to see."""
        return (self.data_dir / "admin.token").read_text().strip()


def resolve_data_dir(given: Path | None) -> Path:
    """Return the data directory: as given, or INSULA_DATA_DIR, or the default one."""
    return (_named_data_dir(given) or _default_data_dir()).absolute()


def _named_data_dir(given: Path | None) -> Path | None:
    named = os.environ.get("INSULA_DATA_DIR")
    return given or (Path(named) if named else None)


def _default_data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "insula"


def find_stack(given: Path | None) -> RunningStack:
    """Return the stack on the data directory that is meant, or else a running demo's.

    Only where no directory is named does the demo count. Raises: CommandFailed (3) if none runs.
    """
    data_dir = resolve_data_dir(given)
    stack = try_find_stack(data_dir)
    if stack is None and _named_data_dir(given) is None:
        stack = _try_find_demo()
    if stack is None:
        raise CommandFailed(
            f"no stack is running on {data_dir}",
            exit_code=NOT_READY,
            hint="start one with `insula start`, or name its data directory with --data-dir",
        )
    return stack


def try_find_stack(data_dir: Path) -> RunningStack | None:
    """Return the stack that runs on `data_dir`, or None."""
    try:
        record = json.loads((data_dir / "insula.json").read_text())
        stack = RunningStack(data_dir, **record)
    except (OSError, ValueError, TypeError):
        return None
    return stack if is_running(stack.pid) else None


def _demo_pointer() -> Path:
    """Return the file in the default data directory that names the demo's."""
    return _default_data_dir() / "demo.json"


def _demo_data_dir() -> Path | None:
    try:
        return Path(json.loads(_demo_pointer().read_text())["data_dir"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _try_find_demo() -> RunningStack | None:
    data_dir = _demo_data_dir()
    return None if data_dir is None else try_find_stack(data_dir)


@contextmanager
def announced_demo(data_dir: Path) -> Iterator[None]:
    """Let commands that name no data directory find the demo on `data_dir`.

    Where the default directory cannot be written, --data-dir names the demo all the same.
    """
    pointer = _demo_pointer()
    with suppress(OSError):
        pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json_atomically(pointer, {"data_dir": str(data_dir)})
    try:
        yield
    finally:
        if _demo_data_dir() == data_dir:  # no other demo has begun since
            pointer.unlink(missing_ok=True)
