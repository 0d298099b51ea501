"""The zygote: imports everything once, then forks SQL processes on demand.

**Model.** A tiny program with one thread, no event loop, no channel and no store. It connects to
the gateway's control socket, and for each `Fork(n)` makes n children, which share its imported
code copy-on-write: 2 ms a fork instead of 300 ms for a new interpreter.

**Invariants.** One thread at every fork: a lock held by another thread would stay locked in the
child for ever. If there are more, nothing is forked and the zygote starts itself afresh. It holds
no tenant's secret; and it renews itself after `forks_per_zygote_max` forks, because all its
children share one memory layout.

**Source.** dependencies of fork safety: grpc, pyarrow and duckdb are imported here and never used.
"""

import argparse
import contextlib
import gc
import importlib
import importlib.abc
import logging
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from runtime.config import load_config
from runtime.control_channel import connect_control
from runtime.control_wire import (
    ControlViolation,
    Exited,
    Fork,
    Forked,
    ForkRefused,
    Message,
    ZygoteHello,
    decode,
    encode,
    receive_packet,
    send_packet,
)
from runtime.lifecycle import lifeline_fd
from runtime.logging import configure_logging
from runtime.os_process import set_title, thread_count
from sqlnode.main import MakeServing, run_sql_process
from sqlnode.process_config import FOREIGN_SECTIONS, Config, ProcessOptions

_log = logging.getLogger(__name__)
_RECONNECT_S: Final = 0.02
_FORK_MAX: Final = 64  # in one go
_IMPORTS: Final = (
    "numpy",
    "pyarrow",
    "pyarrow.compute",
    "pyarrow.dataset",  # DuckDB imports it at its first Arrow scan: 400 ms
    "duckdb",
    "uvloop",
)
_REMOTE_IMPORTS: Final = ("kvapi.client.grpc_transport",)  # if the KV node is on another host


class Zygote:
    """Fork SQL processes for whatever gateway there is."""

    def __init__(self, options: ProcessOptions, make_serving: MakeServing) -> None:
        self._options = options
        self._make_serving = make_serving
        self._fork_count = 0
        self._wakeup, writer = socket.socketpair()
        self._wakeup.setblocking(False)
        writer.setblocking(False)
        self._writer = writer
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: _end())
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def run(self) -> NoReturn:
        """Serve one gateway after the other until the supervisor is gone."""
        while True:
            with contextlib.closing(self._connect()) as gateway:
                with contextlib.suppress(OSError, EOFError):
                    self._serve(gateway)
                _log.info("gateway_lost")
                self._reap(None)

    def _connect(self) -> socket.socket:
        while True:
            with contextlib.suppress(OSError):
                return self._greet()
            self._exit_without_supervisor(wait_s=_RECONNECT_S)

    def _greet(self) -> socket.socket:
        gateway = connect_control(self._options.control_path)
        try:
            self._send(gateway, ZygoteHello(pid=os.getpid()))
        except OSError:  # it ended between the two
            gateway.close()
            raise
        return gateway

    def _serve(self, gateway: socket.socket) -> None:
        poller = select.poll()
        poller.register(gateway, select.POLLIN)
        poller.register(self._wakeup, select.POLLIN)
        if self._options.lifeline_fd is not None:
            poller.register(self._options.lifeline_fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._options.lifeline_fd in ready:
                _end()
            if self._wakeup.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._wakeup.recv(4096)
                self._reap(gateway)
            if gateway.fileno() in ready:
                self._receive(gateway)

    def _receive(self, gateway: socket.socket) -> None:
        packet, fds = receive_packet(gateway)
        for fd in fds:
            os.close(fd)
        if not packet:
            raise EOFError
        try:
            message = decode(packet)
        except ControlViolation as error:
            _log.warning("control_message_refused", extra={"error": str(error)})
            raise EOFError from error
        assert isinstance(message, Fork), f"the gateway sent {type(message).__name__} to a zygote"
        self._fork(gateway, min(message.count, _FORK_MAX))

    def _fork(self, gateway: socket.socket, count: int) -> None:
        threads = thread_count()
        if threads != 1:
            _log.error("fork_refused", extra={"threads": threads})
            self._send(gateway, ForkRefused(count=count, reason=f"{threads} threads"))
            self._start_afresh()
        started_s = time.perf_counter()
        pids = []
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                run_sql_process(self._options, self._make_serving)
            pids.append(pid)
        elapsed_s = time.perf_counter() - started_s
        self._send(gateway, Forked(pids=tuple(pids), elapsed_s=elapsed_s))
        _log.debug("forked", extra={"count": count, "elapsed_ms": round(elapsed_s * 1e3, 2)})
        self._fork_count += count
        if self._fork_count >= self._options.config.sqlnode.forks_per_zygote_max:
            _log.info("zygote_renewed", extra={"forks": self._fork_count})
            self._start_afresh()

    def _start_afresh(self) -> NoReturn:
        """Execute this program again: same pid, same children, new memory."""
        logging.shutdown()
        if self._options.lifeline_fd is not None:
            os.set_inheritable(self._options.lifeline_fd, True)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def _reap(self, gateway: socket.socket | None) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if gateway is not None:
                self._send(gateway, Exited(pid=pid, status=code))

    def _exit_without_supervisor(self, *, wait_s: float) -> None:
        lifeline = self._options.lifeline_fd
        watched = [] if lifeline is None else [lifeline]
        readable, _, _ = select.select(watched, [], [], wait_s)
        if readable:
            _end()

    @staticmethod
    def _send(gateway: socket.socket, message: Message) -> None:
        send_packet(gateway, encode(message))


def _end() -> NoReturn:
    """End at once: there is nothing to save, and two causes may come at the same time."""
    logging.shutdown()
    os._exit(0)


class _NoPandas(importlib.abc.MetaPathFinder):
    """Makes `import pandas` fail as if it were not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("SQL processes do not use pandas", name=fullname)


def prepare_imports() -> None:
    """Tell libraries to start no threads at import, and to leave pandas out.

    pyarrow and duckdb import pandas if it is installed: 0.2 s and 40 MB for what no SQL process
    uses. Requires: none of them is imported.
    """
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")


def import_all(extra: tuple[str, ...] = ()) -> None:
    """Import what SQL processes use, leaving no thread behind."""
    # Native pools start threads at import unless told not to; the supervisor sets these for us as
    # well.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for name in (*_IMPORTS, *extra):
        importlib.import_module(name)
    duckdb = sys.modules["duckdb"]
    duckdb.default_connection().close()  # made at import, with a thread of its own


def parse_options(arguments: list[str]) -> ProcessOptions:
    """Read the command line, the configuration file and the environment. Raises: ConfigError."""
    parser = argparse.ArgumentParser(prog="python -m sqlnode.zygote")
    parser.add_argument("--control", required=True, help="the gateway's control socket")
    parser.add_argument("--kv", required=True, help="the KV node: unix:PATH or HOST:PORT")
    parser.add_argument("--config", type=Path)
    given = parser.parse_args(arguments)
    config = load_config(
        Config, file=given.config, environment=os.environ, foreign_sections=FOREIGN_SECTIONS
    )
    return ProcessOptions(
        control_path=given.control,
        kv_address=given.kv,
        lifeline_fd=lifeline_fd(os.environ),
        config=config,
    )


def run_zygote(arguments: list[str], make_serving: MakeServing) -> NoReturn:
    """Import, freeze, and fork on demand."""
    options = parse_options(arguments)
    configure_logging("zygote", level=options.config.logging.level)
    set_title("insula zygote")
    import_all(() if options.kv_address.startswith("unix:") else _REMOTE_IMPORTS)
    gc.collect()
    gc.disable()  # a collection here would touch, and so copy, pages shared with every child
    gc.freeze()
    _log.info("zygote_ready", extra={"threads": thread_count()})
    if os.getuid() == 0:
        advice = "run the stack as a user of its own, as deploy/insula.service does"
        _log.info("sql_processes_run_as_root", extra={"advice": advice})
    Zygote(options, make_serving).run()


def main() -> NoReturn:
    """Run the zygote of real SQL processes."""
    prepare_imports()
    serving = importlib.import_module("sqlnode.serving")
    run_zygote(sys.argv[1:], serving.SqlServing)


if __name__ == "__main__":
    main()
