"""`insula demo`: a stack to try, with two tenants and real data, until Ctrl-C."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.admin_client import AdminClient, administering
from cli.connection_url import connection_url
from cli.demo_data import TABLES, load_table
from cli.errors import FAILED, CommandFailed
from cli.passwords import make_verifier
from cli.running_stack import RunningStack, announced_demo, try_find_stack
from runtime.address import listen_tcp, parse_host_port
from runtime.atomic_file import write_json_atomically
from runtime.config_error import ConfigError
from runtime.os_process import die_with_parent

_TENANTS: Final = {"acme": "acme-demo", "globex": "globex-demo"}
_USER: Final = "app"
_START_S_MAX: Final = 60.0
_STOP_S_MAX: Final = 30.0
_DEFAULT_PORTS: Final = {"pg": 6432, "http": 8080}


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command line of `insula demo`."""

    data_dir: Path | None
    pg: str | None
    http: str | None
    load: bool
    ready_file: Path | None


class _Interrupted(BaseException):
    """SIGTERM or SIGINT: end the demo."""


def run_demo(options: DemoOptions) -> int:
    """Run the demo until SIGTERM, Ctrl-C or the end of its stack; return the exit code."""
    started_s = _process_start_s()
    console = Console(highlight=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with contextlib.ExitStack() as stop:
            data_dir = stop.enter_context(_data_dir(options.data_dir))
            process = stop.enter_context(_stack(options, data_dir))
            stack = _wait_ready(process, data_dir)
            with administering(stack) as admin:
                for name in _TENANTS:
                    _create(admin, name)
            stop.enter_context(announced_demo(data_dir))
            _publish(options.ready_file, stack)
            console.print(f"ready in {_uptime_s() - started_s:.1f} s")
            _introduce(console, stack, options)
            if options.load:
                _load(console, stack, process)
            console.print("Ctrl-C ends it all.")
            process.wait()
            raise CommandFailed(f"the stack has ended; see {data_dir / 'insula.log'}")
    except _Interrupted:
        return 0
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the end itself shall not be interrupted
    raise _Interrupted


def _uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def _process_start_s() -> float:
    """Return when this process started, on the clock of `_uptime_s`: imports count as well."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _data_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield given.absolute()
        return
    path = Path(tempfile.mkdtemp(prefix="insula-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _stack(options: DemoOptions, data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `insula start` for the length of the block; its log goes to DATA_DIR/insula.log."""
    addresses: list[str] = []
    for name, port in _DEFAULT_PORTS.items():
        given = getattr(options, name)
        addresses += [f"--{name}", given or f"127.0.0.1:{port if _is_free(port) else 0}"]
    addresses += ["--kv", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    command = [sys.executable, "-P", "-m", "cli.main", "start"]
    with (data_dir / "insula.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *addresses],
            stdin=subprocess.DEVNULL,
            stderr=log,
            process_group=0,  # Ctrl-C reaches us, and we end it
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_free(port: int) -> bool:
    try:
        listen_tcp(parse_host_port(f"127.0.0.1:{port}")).close()
    except ConfigError:
        return False
    return True


def _wait_ready(process: subprocess.Popen[bytes], data_dir: Path) -> RunningStack:
    end_s = _uptime_s() + _START_S_MAX
    while _uptime_s() < end_s:
        stack = try_find_stack(data_dir)
        if stack is not None and stack.pid == process.pid:
            return stack
        if process.poll() is not None:
            raise CommandFailed(_last_words(data_dir / "insula.log"), exit_code=FAILED)
        time.sleep(0.01)
    raise CommandFailed(f"the stack did not become ready; see {data_dir / 'insula.log'}")


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:]
    return "the stack did not start; its last words:\n" + "\n".join(lines)


def _create(admin: AdminClient, name: str) -> None:
    if any(tenant["name"] == name for tenant in admin.list()):
        return
    admin.create(name, user=_USER, verifier=make_verifier(_TENANTS[name]))


def _publish(ready_file: Path | None, stack: RunningStack) -> None:
    if ready_file is not None:
        where = {"pg": stack.pg, "http": stack.http, "kv": stack.kv, "admin": stack.admin}
        write_json_atomically(ready_file, {"pid": os.getpid(), **where})


def _introduce(console: Console, stack: RunningStack, options: DemoOptions) -> None:
    acme, globex = (
        connection_url(stack, name, user=_USER, password=password)
        for name, password in _TENANTS.items()
    )
    console.print()
    for name, text in (
        ("acme", acme),
        ("globex", globex),
        ("health", f"http://{stack.http}/health?ready=1"),
    ):
        console.print(f"  {name:<7} {text}", soft_wrap=True, markup=False)
    console.print()
    counted = "flights" if options.load else "pg_class"
    console.print("Three things to try in another terminal:\n", soft_wrap=True)
    for line in (
        f"  psql '{acme}' -c 'select count(*) from {counted}'",
        f"  psql '{globex}' -c 'create table t (a int)' -c '\\d'  # its own tables",
        f"  insula sql acme --data-dir {stack.data_dir} -e 'select version()'",
    ):
        console.print(line, soft_wrap=True, markup=False)
    console.print()


def _load(console: Console, stack: RunningStack, process: subprocess.Popen[bytes]) -> None:
    """Load the data into acme, unless a former demo on this data directory did."""
    url = connection_url(stack, "acme", user=_USER, password=_TENANTS["acme"])
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            missing = [table for table in TABLES if not _exists(connection, table.name)]
            _load_tables(console, connection, missing)
    except psycopg.Error as error:
        if process.poll() is None:
            console.print(f"the data could not be loaded: {error}", style="red", markup=False)


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    found = connection.execute(
        "select 1 from pg_catalog.pg_class where relname = %s", (name,)
    ).fetchone()
    return found is not None


def _load_tables(console: Console, connection: psycopg.Connection[Any], tables: list[Any]) -> None:
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for table in tables:
            task = progress.add_task(table.name, total=None)
            load_table(
                connection,
                table,
                lambda sent, size, task=task: progress.update(task, completed=sent, total=size),  # type: ignore[misc] # bound per table
            )
    if tables:
        rows = sum(table.row_count for table in tables)
        console.print(f"loaded {len(tables)} tables, {rows:,} rows, into acme")
