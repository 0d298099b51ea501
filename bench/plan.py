"""How much of each measurement there is."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.servers import Postgres, Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Durations and counts."""

    kv_s: float  # each operation, transport and number in flight
    select_s: float  # each number of clients of the own client
    pgbench_s: int  # each mode and number of clients; pgbench knows whole seconds
    clients: tuple[int, ...] = (1, 8, 32)
    modes: tuple[str, ...] = ("simple", "prepared")
    pgbench_scale: int = 2
    connect_count: int = 200
    connect_gap_s: float = 0.1
    create_count: int = 200
    database_count: int = 5  # CREATE DATABASE is slow
    repeats: int = 3  # of each analytical query; the median counts
    bulk_s: float = 20.0  # single-row commits, alone and beside a large transaction
    bulk_rows: int = 1_000_000
    idle_s: float = 10.0  # the pool retires a process that was idle for so long; 10 is the default


FULL = Plan(kv_s=1.5, select_s=2.0, pgbench_s=4)
QUICK = Plan(
    kv_s=0.2,
    select_s=0.5,
    pgbench_s=1,
    clients=(1, 8),
    modes=("prepared",),
    pgbench_scale=1,
    connect_count=20,
    connect_gap_s=0.05,
    create_count=20,
    database_count=1,
    repeats=1,
    bulk_s=3.0,
    bulk_rows=100_000,
    idle_s=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a part gets: both systems, the plan, and a way to say what it is doing."""

    stack: Stack
    postgres: Postgres | None
    plan: Plan
    say: Callable[[str], None]
