"""The supervisor: starts the stack's processes, restarts what dies, ends everything cleanly.

**Model.** One thread, one selector. Three children (KV node, zygote, gateway) are started at the
same time; the KV node and the gateway announce their readiness on a pipe. The listening sockets
belong to the supervisor and are inherited, so that a client that connects while the gateway
restarts waits instead of being refused.

```
insula start ─┬─ kvnode
              ├─ zygote ── sqlnode, sqlnode …  (orphans come to us: PR_SET_CHILD_SUBREAPER)
              └─ gateway                       lifeline pipe: write end here, read end in every one
```

**Invariants.** The ready file and `DATA_DIR/insula.json` exist only while everything serves or is
being restarted. No process of the stack outlives the supervisor.
"""

import contextlib
import fcntl
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cli.child_process import Child, ChildSpec
from cli.cpu_groups import cpu_groups
from cli.errors import CommandFailed
from cli.stack_config import SupervisorConfig
from runtime.address import bound_address, listen_tcp, listen_unix, parse_host_port
from runtime.atomic_file import write_json_atomically
from runtime.clock import SystemClock
from runtime.config_error import ConfigError
from runtime.lifecycle import LIFELINE_ENV
from runtime.os_process import allow_open_files, become_subreaper
from runtime.restart_policy import RestartPolicy
from runtime.run_dir import make_run_dir, remove_run_dir
from runtime.service_notify import notify_service_manager

_log = logging.getLogger(__name__)
_POLL_S_MAX: Final = 1.0
_FIRST_STARTS_MAX: Final = 5  # a child that never came up by then never will
_KILLED_STACK_S_MAX: Final = 15.0
_OPEN_FILES_MAX: Final = 65_536  # gateway and KV node hold a descriptor or two for each SQL process
# Native libraries start thread pools when they are imported; the zygote must stay single-threaded
# to fork.
_CHILD_ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "GRPC_VERBOSITY": "NONE",  # it writes plain text to standard error, among our JSON lines
}


MODULES: Final = {"kvnode": "kvnode.main", "zygote": "sqlnode.zygote", "gateway": "gateway.main"}


class Supervisor:
    """Run one stack on one data directory until SIGTERM or SIGINT."""

    def __init__(
        self,
        data_dir: Path,
        config: SupervisorConfig,
        *,
        config_file: Path | None = None,
        ready_file: Path | None = None,
        has_admission: bool = True,
        modules: Mapping[str, str] = MODULES,
    ) -> None:
        self._data_dir = data_dir
        self._config = config
        self._config_file = config_file
        self._ready_file = ready_file
        self._has_admission = has_admission
        self._modules = modules
        self._clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._environment = {**os.environ, **_CHILD_ENVIRONMENT}
        self._kvnode: dict[str, str] = {}
        self._is_stopping = False
        self._was_ready = False
        self._was_killed = False  # the last stack on this data directory
        self._exit_code = 0
        self._record_path = data_dir / "insula.json"

    def run(self) -> int:
        """Run the stack in the foreground; return the exit code. Raises: CommandFailed."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self._data_dir))
            self._was_killed = self._record_path.exists()
            self._forget_record()
            os.umask(0o077)
            allow_open_files(_OPEN_FILES_MAX)
            self._run_dir = make_run_dir(self._data_dir)
            stack.callback(remove_run_dir, self._data_dir)
            stack.callback(self._forget_record)
            self._open_listeners(stack)
            self._open_lifeline(stack)
            self._catch_signals(stack)
            become_subreaper()
            self._cpu_groups = stack.enter_context(cpu_groups(self._config.cgroup))
            self._children = self._make_children()
            stack.callback(self._stop_all)
            for child in self._children:
                self._start(child)
            while not self._is_stopping:
                self._turn()
        return self._exit_code

    def _open_listeners(self, stack: contextlib.ExitStack) -> None:
        self._pg = stack.enter_context(self._listen(self._config.pg))
        self._http = stack.enter_context(self._listen(self._config.http))
        for text in (self._config.kv, self._config.admin):
            self._listen(
                text
            ).close()  # the KV node opens these itself; here the operator sees why not
        port = self._pg.getsockname()[1]
        self._pg_unix = stack.enter_context(listen_unix(str(self._run_dir / f".s.PGSQL.{port}")))

    def _listen(self, text: str) -> socket.socket:
        # The processes of a stack that was killed hold its ports until they have drained.
        end_s = self._clock.monotonic_s() + (_KILLED_STACK_S_MAX if self._was_killed else 0.0)
        while True:
            try:
                return listen_tcp(parse_host_port(text))
            except ConfigError as error:
                if self._clock.monotonic_s() >= end_s:
                    raise CommandFailed(str(error)) from error
            time.sleep(0.1)

    def _open_lifeline(self, stack: contextlib.ExitStack) -> None:
        self._lifeline, write_end = os.pipe()
        stack.callback(os.close, self._lifeline)
        self._lifeline_write = os.fdopen(write_end, "wb")
        stack.enter_context(self._lifeline_write)
        self._environment[LIFELINE_ENV] = str(self._lifeline)

    def _catch_signals(self, stack: contextlib.ExitStack) -> None:
        reader, writer = socket.socketpair()
        stack.enter_context(reader)
        stack.enter_context(writer)
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, -1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(reader, selectors.EVENT_READ, lambda: _drain(reader))

    def _on_stop_signal(self, number: int, _frame: object) -> None:
        if not self._is_stopping:
            _log.info("stop_requested", extra={"cause": signal.Signals(number).name})
        self._is_stopping = True

    def _make_children(self) -> list[Child]:
        policy = RestartPolicy()
        kv_unix = str(self._run_dir / "kv.sock")
        control = str(self._run_dir / "control.sock")
        config = ["--config", str(self._config_file)] if self._config_file else []
        lifeline = (self._lifeline,)

        def kvnode() -> list[str]:
            # After the first start the ports are known, and stay what they were.
            kv = self._kvnode.get("kv", self._config.kv)
            admin = self._kvnode.get("admin", self._config.admin)
            http = self._kvnode.get("http", "127.0.0.1:0")
            where = ["--data-dir", str(self._data_dir), "--unix", kv_unix]
            return [*where, "--kv", kv, "--admin", admin, "--http", http, *config]

        def zygote() -> list[str]:
            return ["--control", control, "--kv", f"unix:{kv_unix}", *config]

        def gateway() -> list[str]:
            listeners = ["--pg", f"fd:{self._pg.fileno()}", "--http", f"fd:{self._http.fileno()}"]
            listeners += ["--pg-unix", f"fd:{self._pg_unix.fileno()}"]
            where = ["--data-dir", str(self._data_dir), "--run-dir", str(self._run_dir)]
            if self._cpu_groups is not None:
                where += ["--cpu-groups", str(self._cpu_groups)]
            if not self._has_admission:
                where += ["--no-admission"]
            return [*listeners, *where, "--drain-s", str(self._config.drain_s), *config]

        sockets = (self._pg.fileno(), self._http.fileno(), self._pg_unix.fileno())
        return [
            Child(ChildSpec("kvnode", self._modules["kvnode"], kvnode, lifeline), policy),
            Child(ChildSpec("zygote", self._modules["zygote"], zygote, lifeline, False), policy),
            Child(
                ChildSpec("gateway", self._modules["gateway"], gateway, (*lifeline, *sockets)),
                policy,
            ),
        ]

    def _start(self, child: Child) -> None:
        child.start(self._environment, now_s=self._clock.monotonic_s())
        _log.info("process_started", extra={"child": child.spec.name, "child_pid": child.pid})
        if child.ready_fd is not None:
            self._selector.register(
                child.ready_fd, selectors.EVENT_READ, lambda: self._on_announcement(child)
            )
        pids = {c.spec.name: c.pid for c in self._children if c.pid is not None}
        write_json_atomically(self._run_dir / "processes.json", {"supervisor": os.getpid(), **pids})

    def _turn(self) -> None:
        now_s = self._clock.monotonic_s()
        due = [c.restart_at_s for c in self._children if c.restart_at_s is not None]
        wait_s = min([_POLL_S_MAX, *(max(at_s - now_s, 0.0) for at_s in due)])
        for key, _ in self._selector.select(wait_s):
            act: Callable[[], None] = key.data
            act()
        for pid, status in _reap():
            self._on_child_ended(pid, status)
        if self._is_stopping:
            return
        now_s = self._clock.monotonic_s()
        for child in self._children:
            if child.restart_at_s is not None and child.restart_at_s <= now_s:
                self._start(child)

    def _on_announcement(self, child: Child) -> None:
        fd = child.ready_fd
        text = child.read_announcement()
        if text is None:
            return
        self._selector.unregister(fd)  # type: ignore[arg-type] # it was set: it was readable
        if not child.is_ready:
            return
        lived_s = self._clock.monotonic_s() - child.started_s
        _log.info("process_ready", extra={"child": child.spec.name, "ready_s": round(lived_s, 3)})
        if child.spec.name == "kvnode":
            self._kvnode = msgspec.json.decode(text)
            write_json_atomically(self._run_dir / "kvnode.json", self._kvnode)
        if all(c.is_ready for c in self._children if c.spec.is_announcing):
            self._publish()

    def _publish(self) -> None:
        """Say where everything is: ready file and record, whole and at once."""
        record: dict[str, Any] = {
            "pid": os.getpid(),
            "pg": bound_address(self._pg),
            "http": bound_address(self._http),
            "kv": self._kvnode["kv"],
            "admin": self._kvnode["admin"],
        }
        write_json_atomically(self._record_path, record)
        if self._ready_file is not None:
            write_json_atomically(self._ready_file, record)
        if not self._was_ready:
            self._was_ready = True
            _log.info("stack_ready", extra=record)
            notify_service_manager("READY=1", os.environ)

    def _on_child_ended(self, pid: int, status: int) -> None:
        child = next((c for c in self._children if c.pid == pid), None)
        if child is None:
            _log.info("orphan_reaped", extra={"child_pid": pid, "status": status})
            return
        if child.ready_fd is not None:
            self._selector.unregister(child.ready_fd)
            child.close_ready_fd()
        child.ended(status)
        if self._is_stopping:
            return
        now_s = self._clock.monotonic_s()
        wait_s = child.restarts.next_wait_s(lived_s=now_s - child.started_s)
        child.restart_at_s = now_s + wait_s
        extra = {"child": child.spec.name, "child_pid": pid, "status": status, "restart_s": wait_s}
        _log.warning("process_died", extra=extra)
        if child.restarts.young_deaths >= _FIRST_STARTS_MAX and not self._was_ready:
            _log.error("start_failed", extra={"child": child.spec.name})
            self._exit_code = 1
            self._is_stopping = True

    def _stop_all(self) -> None:
        """End gateway, zygote, KV node in this order; then whatever is left."""
        self._is_stopping = True
        notify_service_manager("STOPPING=1", os.environ)
        limits_s = {"gateway": self._config.drain_s + self._config.stop_s_max}
        for child in reversed(self._children):
            self._stop(child, limits_s.get(child.spec.name, self._config.stop_s_max))
        self._lifeline_write.close()
        self._wait_until(lambda: not _has_children(), 2.0)
        for pid in _child_pids():
            _log.warning("process_killed", extra={"child_pid": pid})
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._wait_until(lambda: not _has_children(), 2.0)
        _log.info("stack_stopped")

    def _stop(self, child: Child, limit_s: float) -> None:
        if child.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
        if self._wait_until(lambda: child.pid is None, limit_s):
            return
        _log.warning("process_killed", extra={"child": child.spec.name, "child_pid": child.pid})
        os.kill(child.pid, signal.SIGKILL)
        self._wait_until(lambda: child.pid is None, limit_s)

    def _wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        end_s = self._clock.monotonic_s() + limit_s
        while not condition():
            if self._clock.monotonic_s() > end_s:
                return False
            for pid, status in _reap():
                self._on_child_ended(pid, status)
            time.sleep(0.005)
        return True

    def _forget_record(self) -> None:
        for path in (self._record_path, self._ready_file):
            if path is not None:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(data_dir: Path) -> Any:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "insula.lock").open("a")
    except OSError as error:
        raise CommandFailed(f"cannot use the data directory {data_dir}: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandFailed(f"a stack is running on {data_dir} already") from error
        yield


def _drain(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while reader.recv(4096):
            pass


def _reap() -> list[tuple[int, int]]:
    """Collect every child that has ended: its pid and exit code (negative: the signal)."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def _child_pids() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


def _has_children() -> bool:
    return bool(_child_pids())
