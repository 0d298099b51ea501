"""The gateway process: the only place that builds its parts.

**Life.** Control socket first (the zygote and orphaned SQL processes wait for it), then the watch
on tenants, then clients. On SIGTERM: no new clients, SQL processes drain, everything closes in
reverse.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from gateway.binding_proof import load_secret
from gateway.client_intake import ClientIntake, Secrets
from gateway.config import FOREIGN_SECTIONS, OFF, REALTIME, Config
from gateway.control_server import ControlServer
from gateway.cpu_priority import CpuPriority
from gateway.guard_process import GuardProcess
from gateway.http_server import HttpServer
from gateway.login_directory import LoginDirectory
from gateway.metrics import GatewayMetrics
from gateway.pool_manager import PoolManager, control_path
from runtime import os_priority
from runtime.address import bound_address, open_listener
from runtime.cgroup import TenantGroups
from runtime.clock import Clock, SystemClock
from runtime.config import load_config
from runtime.lifecycle import stop_event
from runtime.logging import configure_logging
from runtime.os_process import set_title

_log = logging.getLogger("gateway.main")  # run as a program, __name__ is "__main__"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The gateway's command line."""

    pg: str
    pg_unix: str
    http: str
    data_dir: Path
    run_dir: Path
    ready_fd: int | None
    cpu_groups: Path | None = None


async def run_gateway(options: Options, config: Config) -> None:
    """Run the gateway until SIGTERM, SIGINT or the end of the supervisor."""
    stop = stop_event(asyncio.get_running_loop())
    async with contextlib.AsyncExitStack() as stack:
        pool, addresses = await stack.enter_async_context(_serving(options, config, stop))
        waits = [asyncio.ensure_future(event.wait()) for event in (pool.has_warmed, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            _announce(options.ready_fd, addresses)
        await stop.wait()


@contextlib.asynccontextmanager
async def _serving(
    options: Options, config: Config, stop: asyncio.Event
) -> AsyncIterator[tuple[PoolManager, str]]:
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    secret = load_secret(options.data_dir / "gateway.secret", secrets.token_bytes)
    pool = PoolManager(config, clock, metrics, secret=secret, rng=secrets.SystemRandom())
    logins = LoginDirectory(
        config.gateway,
        clock,
        kvnode_file=options.run_dir / "kvnode.json",
        token_file=options.data_dir / "admin.token",
        on_tenant_gone=pool.tenant_gone,
        on_watch_begun=pool.check_tenants,
    )
    intake = ClientIntake(
        config.gateway,
        clock,
        metrics,
        logins=logins,
        pool=pool,
        secrets=Secrets(mock_secret=secret, random_bytes=secrets.token_bytes),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(logins.close)
        guard = _start_guard(stack, config, clock)
        groups = None if options.cpu_groups is None else TenantGroups(options.cpu_groups)
        priority = CpuPriority(clock, metrics, groups, guard)
        control = ControlServer(control_path(options.run_dir), pool, secret=secret, watcher=guard)
        stack.callback(control.close)
        pg, pg_unix, http = (
            stack.enter_context(open_listener(text))
            for text in (options.pg, options.pg_unix, options.http)
        )
        web = HttpServer(
            http,
            registry,
            run_dir=options.run_dir,
            is_ready=lambda: logins.is_watching and pool.has_warmed.is_set() and not stop.is_set(),
            describe=pool.describe,
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        background = [
            tasks.create_task(pool.run(logins), name="pool"),
            tasks.create_task(logins.watch(), name="watch-tenants"),
            tasks.create_task(intake.accept(pg), name="accept-tcp"),
            tasks.create_task(intake.accept(pg_unix, is_trusted=True), name="accept-unix"),
            tasks.create_task(_keep(priority, config, pool, logins), name="priority"),
        ]
        tasks.create_task(web.run(), name="http")
        yield pool, f'{{"pg": "{bound_address(pg)}", "http": "{bound_address(http)}"}}\n'
        for task in background:
            task.cancel()
        await pool.drain(config.gateway.drain_s)
        web.stop()


async def _keep(
    priority: CpuPriority, config: Config, pool: PoolManager, logins: LoginDirectory
) -> None:
    if config.gateway.cpu_priority == OFF:
        await priority.release(pool.assigned)
    else:
        await priority.run(pool.assigned, logins.weights)


def _start_guard(
    stack: contextlib.AsyncExitStack, config: Config, clock: Clock
) -> GuardProcess | None:
    if config.gateway.cpu_priority != REALTIME:
        return None
    refusal = os_priority.realtime_refusal(os_priority.REALTIME_GUARD)
    if refusal is not None:
        _log.warning("realtime_off", extra={"reason": refusal})
        return None
    guard = GuardProcess(clock)
    stack.callback(guard.close)
    return guard


def _announce(ready_fd: int | None, text: str) -> None:
    _log.info("gateway_ready")
    if ready_fd is not None:
        with os.fdopen(ready_fd, "w") as file:
            file.write(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m gateway.main`."""
    parser = argparse.ArgumentParser(prog="python -m gateway.main")
    parser.add_argument("--pg", required=True, help="HOST:PORT or fd:N")
    parser.add_argument("--pg-unix", required=True, help="unix:PATH or fd:N; trusted")
    parser.add_argument("--http", required=True, help="HOST:PORT or fd:N")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--drain-s", type=float)
    parser.add_argument("--cpu-groups", type=Path, help="folder of cgroup v2 for those of tenants")
    parser.add_argument("--no-admission", action="store_true", help="tenants are not kept apart")
    parser.add_argument("--config", type=Path)
    given = parser.parse_args(arguments)
    config = load_config(
        Config,
        file=given.config,
        environment=os.environ,
        flags={"gateway": {"drain_s": given.drain_s}},
        foreign_sections=FOREIGN_SECTIONS,
    )
    gateway = config.gateway.resolved(has_admission=not given.no_admission)
    config = replace(config, gateway=gateway)
    configure_logging("gateway", level=config.logging.level)
    set_title("insula gateway")
    options = Options(
        pg=given.pg,
        pg_unix=given.pg_unix,
        http=given.http,
        data_dir=given.data_dir,
        run_dir=given.run_dir,
        ready_fd=given.ready_fd,
        cpu_groups=given.cpu_groups,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_gateway(options, config))


if __name__ == "__main__":
    main()
