"""The scenarios, and how long each is measured."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Noise:
    """What the noisy tenant does in a scenario; `kind` is one of `loads.KINDS`."""

    letter: str
    kind: str
    clients: int
    what: str
    answer_s: float  # the longest that a client may be without an answer
    is_worse_without: bool = False  # that admission control helps is to be seen


@dataclass(frozen=True, slots=True)
class Share:
    """Tenants that all want more than there is; what each should get, over the mean of all."""

    name: str
    what: str
    clients: tuple[int, ...]
    weights: tuple[int, ...]
    is_raw: bool  # straight at the KV node, whose capacity is what is shared
    tolerance: float

    @property
    def wanted(self) -> tuple[float, ...]:
        """The part of the mean that each tenant should get."""
        mean = sum(self.weights) / len(self.weights)
        return tuple(weight / mean for weight in self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyPlan:
    """Durations in seconds, and counts."""

    rounds: int = 3  # the median of them counts
    rounds_postgres: int = 2  # of (a) to (f) with PostgreSQL, of which nothing is promised
    rounds_beside: int = 1  # of the other scenarios on systems of which nothing is promised
    alone_s: float = 5.0  # before and after each noise
    beside_s: float = 10.0
    share_s: float = 5.0
    lone_turns: int = 24  # of a lone tenant, by turns with and without admission control
    limit_s: float = 60.0  # at the limit of request units
    stop_go_s: float = 20.0  # the same without the trickle
    table_rows: int = 100_000
    bulk_rows: int = 1_000_000
    quiet_tenants: int = 50

    def describe(self) -> str:
        """Return it in words."""
        return (
            f"{self.rounds} rounds, {min(self.rounds, self.rounds_postgres)} of PostgreSQL,"
            f" {min(self.rounds, self.rounds_beside)} of what nothing is promised of;"
            f" {self.alone_s:g} s alone before and after each noise, {self.beside_s:g} s beside"
            f" it; tables of {self.table_rows:,} rows, large transactions of {self.bulk_rows:,};"
            f" {self.quiet_tenants} quiet tenants in “many”; {self.share_s:g} s for each share;"
            f" {self.limit_s:g} s at a limit, once, and {self.stop_go_s:g} s without the trickle"
        )


NOISES: Final = (
    Noise("a", "reads", 64, "64 connections of point reads", 1.0, is_worse_without=True),
    Noise("b", "scans", 4, "full-table scans and aggregates in a loop", 5.0, is_worse_without=True),
    Noise("c", "copy", 2, "bulk COPY", 5.0),
    Noise("d", "hot", 32, "one hot row from 32 connections", 1.0),
    Noise("e", "large", 1, "large transactions", 60.0, is_worse_without=True),
    Noise("f", "connects", 32, "a flood of connections", 1.0),
)
SHARES: Final = (
    Share("equal", "4 equal tenants, at the KV node", (16,) * 4, (1,) * 4, True, 0.10),
    Share(
        "skewed", "1, 2, 4, 8 × the clients, at the KV node", (8, 16, 32, 64), (1,) * 4, True, 0.15
    ),
    Share("weights", "weights 1:2:4, at the KV node", (32,) * 3, (1, 2, 4), True, 0.15),
    Share("equal-sql", "4 equal tenants, through SQL", (8,) * 4, (1,) * 4, False, 0.10),
    Share(
        "skewed-sql",
        "1, 2, 4, 8 × the clients, through SQL",
        (6, 12, 24, 48),
        (1,) * 4,
        False,
        0.15,
    ),
    Share("weights-sql", "weights 1:2:4, through SQL", (16,) * 3, (1, 2, 4), False, 0.15),
)
MANY: Final = "many"  # the scenario of many quiet tenants beside two noisy ones
LONE: Final = "lone"  # what a tenant without neighbours gets
LONE_SQL: Final = "lone-sql"  # measured with it
LIMITS: Final = "limits"  # what a tenant at its limit gets

FULL: Final = NoisyPlan()
QUICK: Final = NoisyPlan(
    rounds=1,
    alone_s=2.0,
    beside_s=3.0,
    share_s=2.0,
    lone_turns=4,
    limit_s=10.0,
    stop_go_s=10.0,
    table_rows=20_000,
    bulk_rows=100_000,
    quiet_tenants=10,
)
