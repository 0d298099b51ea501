"""The KV node's process: builds everything, says that it is ready, ends cleanly.

    python -m kvnode.main --data-dir DIR --unix PATH [--kv, --admin, --http HOST:PORT]

When all ports serve, one line of JSON {pid, kv, admin, unix, http} goes to the file descriptor of
`--ready-fd`. SIGTERM, SIGINT or the supervisor's end drain the node: streams are told, queued
writes become durable, the store is closed. Exit codes: 2 it cannot start, 3 its writer died.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from kvapi.errors import KvError, ShuttingDown
from kvapi.pb import admin_pb2_grpc
from kvnode.admin.admin_server import TenantAdminService, TokenGuard
from kvnode.core import Core
from kvnode.data_dir import DataDir, open_data_dir
from kvnode.memory import MemoryWatch
from kvnode.metrics import KvnodeMetrics
from kvnode.node_config import FOREIGN_SECTIONS, KvnodeConfig, NodeConfig
from kvnode.ranges.keeper import RangeKeeper
from kvnode.server.grpc_server import KvService, server_options
from kvnode.server.unix_server import serve_unix
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.tenants.lifecycle import TenantLifecycle
from kvnode.tenants.maintenance import Maintenance
from kvnode.txn.writer_thread import WriterThread
from runtime import os_priority
from runtime.address import bound_address, listen_tcp, listen_unix, parse_host_port
from runtime.clock import SystemClock, SystemCpuClock
from runtime.config import ConfigError, load_config
from runtime.cycle_collector import CycleCollector
from runtime.lifecycle import stop_event
from runtime.logging import configure_logging
from runtime.metrics_http import serve_metrics
from runtime.tasks import spawn

_log = logging.getLogger(__name__)
# The writer thread gives the interpreter up at every call into LMDB; with the default of 5 ms a
# busy event loop would let it wait that long each time (measured: 10 ms a commit instead of 0.4).
_SWITCH_INTERVAL_S: Final = 0.0001
_EXIT_CONFIG: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where to listen, or where the node listens."""

    unix: str
    kv: str
    admin: str
    http: str


@asynccontextmanager
async def running_kvnode(
    data_dir: Path, addresses: Addresses, config: NodeConfig, *, core_type: type[Core] = Core
) -> AsyncIterator[Addresses]:
    """Run a KV node for the length of the block; yields where it really listens.

    Raises: ConfigError, StoreCorrupt.
    """
    async with AsyncExitStack() as stack:
        files = stack.enter_context(open_data_dir(data_dir))
        core = _open_core(stack, files, config, core_type)
        lifecycle = TenantLifecycle(core)
        maintenance = Maintenance(core)
        keeper = RangeKeeper(core, random.Random(core.epoch))
        admin = TenantAdminService(core, lifecycle, keeper)
        unix = await _serve_unix(stack, core, addresses.unix)
        kv = await _serve_kv(stack, core, addresses.kv)
        admin_at = await _serve_admin(stack, admin, files.admin_token, addresses.admin)
        stack.callback(admin.close)
        http = await _serve_http(stack, core, maintenance, keeper, addresses.http)
        upkeep = spawn(maintenance.run(), name="maintenance")
        stack.callback(upkeep.cancel)
        keeping = spawn(keeper.run(), name="range-keeper")
        stack.callback(keeping.cancel)
        drops = spawn(lifecycle.finish_drops(), name="finish-drops")
        stack.callback(drops.cancel)
        watch = MemoryWatch(core.memory, core.loop.call_later)
        watch.start()
        stack.callback(watch.stop)
        core.watchdog.start()
        stack.callback(core.watchdog.stop)
        collector = CycleCollector(core.loop, lambda: core.stats.requests)
        collector.start()
        stack.callback(collector.stop)
        stack.push_async_callback(_drain, core)
        yield Addresses(unix=unix, kv=kv, admin=admin_at, http=http)


def _open_core(
    stack: AsyncExitStack, files: DataDir, config: NodeConfig, core_type: type[Core]
) -> Core:
    sizes = LmdbConfig(map_bytes=config.map_bytes, map_bytes_max=config.map_bytes_max)
    engine = stack.enter_context(contextlib.closing(LmdbEngine(files.store, sizes)))
    loop = asyncio.get_running_loop()
    writer = WriterThread(engine, loop)
    stack.callback(writer.stop)
    core = core_type(
        engine,
        writer,
        config=config,
        identity=files.identity,
        clock=SystemClock(),
        loop=loop,
        cpu=SystemCpuClock(),
    )
    stack.callback(core.timeline.release_snapshot)
    return core


async def _drain(core: Core) -> None:
    """Tell the streams, then wait until what was accepted is durable."""
    core.is_draining = True
    core.close_streams(ShuttingDown("the node is shutting down"))
    core.intents.mover.stop()
    durable = asyncio.Event()
    core.group.after_queued(durable.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(core.config.drain_s):
            await durable.wait()
    _log.info("drained", extra={"writes_lost": core.group.queued_count})


async def _serve_unix(stack: AsyncExitStack, core: Core, path: str) -> str:
    with suppress(FileNotFoundError):
        os.unlink(path)  # of a node that was killed; the data directory's lock is ours
    listener = listen_unix(path)
    os.chmod(path, 0o600)
    server = await serve_unix(core, listener)
    stack.callback(server.close)
    return path


async def _serve_kv(stack: AsyncExitStack, core: Core, address: str) -> str:
    server = grpc.aio.server(options=server_options(core.config.frame_bytes_max))
    server.add_generic_rpc_handlers((KvService(core).handler(),))
    port = _bind(server, address)
    await server.start()
    stack.push_async_callback(server.stop, 0.5)
    return port


async def _serve_admin(
    stack: AsyncExitStack, admin: TenantAdminService, token: str, address: str
) -> str:
    server = grpc.aio.server(interceptors=[TokenGuard(token)], options=[("grpc.so_reuseport", 0)])
    admin_pb2_grpc.add_TenantAdminServicer_to_server(admin, server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    port = _bind(server, address)
    await server.start()
    stack.push_async_callback(server.stop, 0.5)
    return port


def _bind(server: grpc.aio.Server, address: str) -> str:
    host = parse_host_port(address).host
    shown = f"[{host}]" if ":" in host else host
    try:
        return f"{shown}:{server.add_insecure_port(address)}"
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {address}: {error}") from error


async def _serve_http(
    stack: AsyncExitStack,
    core: Core,
    maintenance: Maintenance,
    keeper: RangeKeeper,
    address: str,
) -> str:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    KvnodeMetrics(core, maintenance, keeper, registry)
    listener = listen_tcp(parse_host_port(address))
    where = bound_address(listener)
    server = await serve_metrics(listener, registry, is_ready=lambda: not core.is_draining)
    stack.callback(server.close)
    return where


async def _serve_until_stopped(
    arguments: argparse.Namespace, config: NodeConfig, core_type: type[Core]
) -> None:
    stop = stop_event(asyncio.get_running_loop())
    wanted = Addresses(
        unix=arguments.unix, kv=arguments.kv, admin=arguments.admin, http=arguments.http
    )
    node = running_kvnode(arguments.data_dir, wanted, config, core_type=core_type)
    async with node as bound:
        announcement = {
            "pid": os.getpid(),
            "kv": bound.kv,
            "admin": bound.admin,
            "unix": bound.unix,
            "http": bound.http,
        }
        where = {name: value for name, value in announcement.items() if name != "pid"}
        _log.info("ready", extra=where)
        if arguments.ready_fd is not None:
            with os.fdopen(arguments.ready_fd, "w") as pipe:
                pipe.write(json.dumps(announcement) + "\n")
        await stop.wait()
    _log.info("stopped")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kvnode", description="The shared storage process.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--unix", required=True, help="path of the Unix socket")
    parser.add_argument("--kv", default="127.0.0.1:0", help="gRPC streams")
    parser.add_argument("--admin", default="127.0.0.1:0", help="gRPC tenant administration")
    parser.add_argument("--http", default="127.0.0.1:0", help="metrics and health")
    parser.add_argument("--ready-fd", type=int, help="where to write the ready line")
    parser.add_argument("--config", type=Path, help="configuration file (TOML)")
    return parser.parse_args(argv)


def _become_realtime() -> None:
    """Run as soon as there is work, with all threads: everybody waits for this process."""
    priority = os_priority.REALTIME_SERVICE
    if (refusal := os_priority.realtime_refusal(priority)) is not None:
        _log.warning("realtime_off", extra={"reason": refusal})
        return
    os_priority.set_realtime(0, priority, inherit=True)
    _log.info("realtime")


def main(argv: list[str] | None = None, *, core_type: type[Core] = Core) -> int:
    """Run the process; return its exit code. Tests bring a core that is broken on purpose."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    configure_logging("kvnode")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        config = load_config(
            KvnodeConfig,
            file=arguments.config,
            environment=os.environ,
            foreign_sections=FOREIGN_SECTIONS,
        ).kvnode
        configure_logging("kvnode", level=config.log_level)
        if config.is_realtime:
            _become_realtime()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_until_stopped(arguments, config, core_type))
    except (ConfigError, KvError) as error:
        _log.error("cannot_start", extra={"reason": str(error)})
        return _EXIT_CONFIG
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
