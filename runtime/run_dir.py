"""The folder of a stack's Unix sockets, private to its user.

A Unix socket's path must fit into 108 bytes (unix(7)). `DATA_DIR/run` is used when every name in
it fits; a deeper data directory gets a folder under /tmp instead, whose path is recorded in
`DATA_DIR/run.path`.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PATH_BYTES_MAX: Final = 107  # 108 less the terminating zero
_NAME_BYTES_MAX: Final = len("/.s.PGSQL.65535.lock")


def make_run_dir(data_dir: Path) -> Path:
    """Create an empty run folder, mode 0700. What a dead stack left is removed.

    Requires: no other stack runs on `data_dir`.
    """
    remove_run_dir(data_dir)
    own = data_dir / "run"
    if len(os.fsencode(own)) + _NAME_BYTES_MAX <= PATH_BYTES_MAX:
        own.mkdir(mode=0o700)
        return own
    far = Path(tempfile.mkdtemp(prefix="insula-", dir="/tmp"))
    (data_dir / "run.path").write_text(f"{far}\n")
    return far


def find_run_dir(data_dir: Path) -> Path:
    """Return the run folder of the stack on `data_dir`."""
    record = data_dir / "run.path"
    return Path(record.read_text().strip()) if record.exists() else data_dir / "run"


def remove_run_dir(data_dir: Path) -> None:
    """Remove the run folder of the stack on `data_dir`, wherever it is."""
    shutil.rmtree(data_dir / "run", ignore_errors=True)
    record = data_dir / "run.path"
    if record.exists():
        far = Path(record.read_text().strip())
        if far.parent == Path("/tmp") and far.name.startswith("insula-"):
            shutil.rmtree(far, ignore_errors=True)
        record.unlink()
