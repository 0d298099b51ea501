"""Starts what is measured: an Insula stack and a PostgreSQL, each in a temporary directory.

Both write to the same filesystem, sync every commit to it, and take passwords by SCRAM over
loopback TCP. Both end with their block, by their pid.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg

from bench.process_cpu import child_pids, tree_cpu_s
from bench.programs import BenchFailed, find_server_folder, own_environment, run_program
from cli.admin_client import AdminClient
from cli.connection_url import connection_url
from cli.passwords import make_verifier
from cli.running_stack import RunningStack

USER: Final = "bench"
PASSWORD: Final = "bench"
_START_S_MAX: Final = 40.0
_STOP_S_MAX: Final = 30.0
_LOG_CHARS_MAX: Final = 2_000
# What both are compared under; everything else is the default.
POSTGRES_SETTINGS: Final = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")


class Stack:
    """A running Insula stack and its tenants."""

    def __init__(self, running: RunningStack, folder: Path) -> None:
        self.running = running
        self.folder = folder
        self._verifier = make_verifier(PASSWORD)

    @property
    def kv_socket(self) -> Path:
        """The KV node's Unix socket."""
        return self.running.run_dir / "kv.sock"

    @property
    def admin_token_file(self) -> Path:
        """The file with the operator's token."""
        return self.running.data_dir / "admin.token"

    @contextlib.contextmanager
    def administering(self) -> Iterator[Callable[[str], dict[str, Any]]]:
        """Yield a function that creates a tenant; one channel serves them all."""
        admin = AdminClient(self.running)
        try:
            yield lambda name: admin.create(name, user=USER, verifier=self._verifier)
        finally:
            admin.close()

    def create_tenant(self, name: str) -> str:
        """Create a tenant; return its URL."""
        with self.administering() as create:
            create(name)
        return self.url(name)

    def drop_tenant(self, name: str) -> None:
        """Remove a tenant with all its data."""
        admin = AdminClient(self.running)
        try:
            admin.drop(name)
        finally:
            admin.close()

    def has_tenant(self, name: str) -> bool:
        """Whether there is such a tenant."""
        admin = AdminClient(self.running)
        try:
            return any(tenant["name"] == name for tenant in admin.list())
        finally:
            admin.close()

    def live_bytes(self, name: str) -> int:
        """Return the bytes of a tenant's keys and values."""
        admin = AdminClient(self.running)
        try:
            size: int = admin.get(name)["live_bytes"]
            return size
        finally:
            admin.close()

    def url(self, tenant: str) -> str:
        """Return the URL of a tenant's database, with the password."""
        return connection_url(self.running, tenant, user=USER, password=PASSWORD)

    def cpu_s(self) -> float:
        """Return the CPU time that all processes of the stack have used."""
        return tree_cpu_s(self.running.pid)

    def kvnode_pid(self) -> int:
        """Return the KV node's process. Raises: BenchFailed."""
        for child in child_pids(self.running.pid):
            if b"kvnode.main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        raise BenchFailed("the stack has no KV node")

    def http(self, path: str) -> str:
        """GET a path of the gateway's HTTP endpoint."""
        with urllib.request.urlopen(f"http://{self.running.http}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def store_bytes(self) -> int:
        """Return the disk blocks that the store takes, in bytes."""
        files = (self.running.data_dir / "store").rglob("*")
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL."""

    pid: int
    port: int
    version: str

    def cpu_s(self) -> float:
        """Return the CPU time that all its processes have used."""
        return tree_cpu_s(self.pid)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, with the password."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{quote(database)}"


@contextlib.contextmanager
def insula_stack(*, idle_s: float, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run a stack on free ports; all settings but `idle_s` and the given are defaults."""
    with tempfile.TemporaryDirectory(prefix="insula-bench-") as name:
        folder = Path(name)
        ready_file, log_file, data_dir = folder / "ready", folder / "log", folder / "data"
        command = [sys.executable, "-P", "-m", "cli.main", "start"]
        command += ["--data-dir", str(data_dir), "--ready-file", str(ready_file)]
        for port in ("pg", "http", "kv", "admin"):
            command += [f"--{port}", "127.0.0.1:0"]
        environment = {**own_environment(), "INSULA_POOL__IDLE_S": str(idle_s)}
        environment |= settings or {}
        with _running(command, log_file, signal.SIGTERM, env=environment) as process:
            _wait(ready_file.exists, process, log_file)
            record = json.loads(ready_file.read_text())
            yield Stack(RunningStack(data_dir, **record), folder)


@contextlib.contextmanager
def postgres_server(connections_max: int = 100) -> Iterator[Postgres | None]:
    """Run a PostgreSQL, as a user that is not root; yields None where none is installed."""
    binaries = find_server_folder()
    if binaries is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="insula-bench-pg-"))
    try:
        options = _unprivileged(folder)
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        data_dir, log_file, port = folder / "data", folder / "log", _free_port()
        init: list[str | Path] = [binaries / "initdb", "-D", data_dir, "-U", USER]
        init += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={password_file}"]
        init += ["--auth-local=trust", "--auth-host=scram-sha-256"]
        run_program(init, limit_s=60, cwd=folder, **options)
        command = [str(binaries / "postgres"), "-D", str(data_dir), "-k", str(folder)]
        command += ["-h", "127.0.0.1", "-p", str(port)]
        for setting in (*POSTGRES_SETTINGS, f"max_connections={connections_max}"):
            command += ["-c", setting]
        with _running(command, log_file, signal.SIGINT, cwd=folder, **options) as process:
            url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
            _wait(lambda: _try_version(url) is not None, process, log_file)
            yield Postgres(process.pid, port, _try_version(url) or "")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(
    command: Sequence[str], log_file: Path, stop_signal: signal.Signals, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of the block; afterwards stop it, or kill it."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
        )
    try:
        yield process
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline_s = time.monotonic() + _START_S_MAX
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            log = log_file.read_text(errors="replace")[-_LOG_CHARS_MAX:]
            raise BenchFailed(f"{process.args!r} did not start: {log}")
        time.sleep(0.02)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Give `folder` to a user that PostgreSQL accepts; return how to start processes as it."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            os.chown(folder, account.pw_uid, account.pw_gid)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise BenchFailed("no unprivileged user to run PostgreSQL as")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _try_version(url: str) -> str | None:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("show server_version").fetchone()
    except psycopg.OperationalError:
        return None
    return None if row is None else str(row[0])
