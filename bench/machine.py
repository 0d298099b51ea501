"""What was measured on, and with which versions."""

import importlib.metadata
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from bench.plan import Plan
from bench.programs import ROOT, find_program
from bench.servers import POSTGRES_SETTINGS, Postgres

_LIBRARIES: Final = (
    "lmdb",
    "grpcio",
    "uvloop",
    "duckdb",
    "pyarrow",
    "asyncpg",
    "psycopg",
)


def describe(plan: Plan, postgres: Postgres | None) -> dict[str, str]:
    """Return machine, versions and settings: name → value."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    theirs = "not installed"
    if postgres is not None:
        theirs = f"{postgres.version}, defaults, {', '.join(POSTGRES_SETTINGS)}"
    return {
        **describe_machine(),
        "Insula": f"Python {platform.python_version()}, {versions}",
        "Insula settings": f"defaults, pool.idle_s={plan.idle_s:g}; every commit synced to disk",
        "PostgreSQL": theirs,
        "pgbench": f"{_pgbench()}, scale {plan.pgbench_scale}",
        "clients": "loopback TCP, SCRAM-SHA-256 for both; load generators in their own processes",
        "durations": f"KV {plan.kv_s:g} s, asyncpg {plan.select_s:g} s, pgbench {plan.pgbench_s} s",
    }


def describe_machine() -> dict[str, str]:
    """Return what it runs on: name → value."""
    return {
        "machine": f"{_cpu()}, {os.cpu_count()} CPUs, {_memory()} of memory",
        "system": f"{platform.system()} {platform.release()}, {_file_system()}",
        "load average at start": load_average(),
        "commit": _commit(),
    }


def load_average() -> str:
    """Return how many processes wanted to run in the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


def _cpu() -> str:
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _memory() -> str:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * page_bytes / 2**30:.0f} GiB"


def _file_system() -> str:
    """Return the type of the file system that both systems write to."""
    folder, best = tempfile.gettempdir(), ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        is_above = folder == mount or folder.startswith(mount.rstrip("/") + "/")
        if is_above and len(mount) >= len(best[0]):
            best = (mount, kind)
    return f"data on {best[1]}"


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown commit"


def _pgbench() -> str:
    program = find_program("pgbench")
    if program is None:
        return "not installed"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
