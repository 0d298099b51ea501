"""What a forked child of the zygote becomes: a SQL process, warm until it is assigned a tenant.

**Concurrency.** A fresh uvloop loop, made after the fork. Nothing of the zygote but its imported
code is used.
"""

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import uvloop

from runtime import os_priority
from runtime.lifecycle import LIFELINE_ENV, stop_event
from runtime.logging import configure_logging
from runtime.os_process import (
    drop_capabilities,
    forbid_new_privileges,
    limit_resources,
    prefer_as_oom_victim,
    set_title,
)
from runtime.signal_tap import tapped_signals
from runtime.tasks import spawn
from sqlnode.control import ControlClient, Serving
from sqlnode.process_config import ProcessOptions

_log = logging.getLogger(__name__)
MakeServing = Callable[[ProcessOptions], Serving]
# Allocations between two garbage collections. Python's 700 makes a bulk load look through all its
# rows again and again; few of our objects are in cycles.
_GC_OBJECTS: Final = 20_000
# How deep statements may nest: 1,000 terms of a + b + …; 8 MiB of stack hold several times as much.
_RECURSION_MAX: Final = 4_000


def run_sql_process(options: ProcessOptions, make_serving: MakeServing) -> NoReturn:
    """Be a SQL process until told to end. Requires: called right after fork, in the child."""
    code = 1
    try:
        _leave_zygote(options)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options, make_serving))
        code = 0
    except Exception:
        _log.exception("sql_process_failed")
    finally:
        logging.shutdown()
        os._exit(code)  # no atexit: those handlers belong to the zygote


def _leave_zygote(options: ProcessOptions) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    kept = {0, 1, 2, options.lifeline_fd}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))
    random.seed()
    sys.setrecursionlimit(_RECURSION_MAX)
    gc.set_threshold(_GC_OBJECTS, 20, 20)
    gc.enable()
    logs = options.config.logging
    configure_logging("sqlnode", level=logs.level, is_redacted=logs.is_redacted)
    set_title("insula sqlnode: generic")
    limits = options.config.sqlnode
    forbid_new_privileges()
    limit_resources(memory_bytes_max=limits.memory_bytes_max, open_files_max=limits.open_files_max)
    prefer_as_oom_victim(limits.oom_score)
    os.nice(limits.nice)
    os_priority.limit_realtime()
    drop_capabilities()


async def _serve(options: ProcessOptions, make_serving: MakeServing) -> None:
    loop = asyncio.get_running_loop()
    # What a real-time thread starts has nice value 0, before all tenants.
    loop.set_default_executor(ThreadPoolExecutor(initializer=os_priority.take_main_nice))
    lifeline = "" if options.lifeline_fd is None else str(options.lifeline_fd)
    stop = stop_event(loop, {LIFELINE_ENV: lifeline})
    serving = make_serving(options)
    await serving.connect()
    with tapped_signals(loop) as tap:
        client = ControlClient(options.control_path, serving, tap)

        async def stop_when_told() -> None:
            await stop.wait()
            client.stop()

        watcher = spawn(stop_when_told(), name="stop-watcher")
        try:
            await client.run()
        finally:
            watcher.cancel()
            await serving.close()
