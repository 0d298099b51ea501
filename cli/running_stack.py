"""Finding the stack that runs on a data directory."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import NOT_READY, CommandFailed
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
    if given is not None:
        return given.absolute()
    named = os.environ.get("INSULA_DATA_DIR")
    if named:
        return Path(named).absolute()
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "insula"


def find_stack(data_dir: Path) -> RunningStack:
    """Return the stack that runs on `data_dir`. Raises: CommandFailed (3) if there is none."""
    stack = try_find_stack(data_dir)
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
