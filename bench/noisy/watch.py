"""Looks at a server while its clients work: before, during and after each span of time.

**Model.** A `Watch` measures spans. At either end it reads the counters that the server keeps, and
in between, twenty times a second, the memory of the KV node. Its connections to the quiet tenants
are opened beforehand; what they cost is the same alone and beside noise.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Final, Protocol

import psycopg

from bench.noisy import quiet
from bench.noisy.latency import Counts
from bench.noisy.node import NodeSpan, Stalls

Span = tuple[int, int]  # of CLOCK_MONOTONIC, nanoseconds
_EVERY_S: Final = 0.05
_ASK: Final = "select query, shorter_than_ms, calls from pg_insula.statement_latencies"


class Watched(Protocol):
    """A server that can be looked at."""

    tells_latencies: bool

    def stalls(self) -> Stalls | None:
        """Return what the KV node has counted; None if there is none."""

    def node_bytes(self) -> int:
        """Return the memory that the KV node has to itself."""

    def node_span(self, before: Stalls, after: Stalls, *, peak_bytes: int) -> NodeSpan:
        """Return what lies between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One span."""

    span: Span
    server: Mapping[str, Counts]  # by kind of request; empty: the server does not tell
    node: NodeSpan | None


class Watch:
    """Looks at a system and its quiet tenants."""

    def __init__(self, system: Watched, connections: Sequence["psycopg.Connection[Any]"]) -> None:
        self._system = system
        self._connections = connections

    def measure(self, seconds: float) -> Look:
        """Look for so long."""
        before, stalls_before = self._counts(), self._system.stalls()
        start_ns, peak_bytes = monotonic_ns(), 0
        end_ns = start_ns + int(seconds * 1e9)
        while (left_s := (end_ns - monotonic_ns()) / 1e9) > 0:
            time.sleep(min(left_s, _EVERY_S))
            if stalls_before is not None:
                peak_bytes = max(peak_bytes, self._system.node_bytes())
        span = (start_ns, monotonic_ns())
        after, stalls = self._counts(), self._system.stalls()
        node = None
        if stalls is not None and stalls_before is not None:
            node = self._system.node_span(stalls_before, stalls, peak_bytes=peak_bytes)
        server = {kind: counts - before[kind] for kind, counts in after.items()}
        return Look(span=span, server=server, node=node)

    def _counts(self) -> dict[str, Counts]:
        """Return what the quiet tenants' SQL processes have counted, together."""
        found: dict[str, Counts] = {kind: Counter() for kind in quiet.KINDS}
        kinds = {text: kind for kind, text in quiet.STATEMENTS.items()}
        for connection in self._connections:
            for query, bound_ms, calls in connection.execute(_ASK):
                if (kind := kinds.get(query)) is not None:
                    found[kind][bound_ms] += calls
        return found


@contextlib.contextmanager
def watching(system: Watched, quiet_urls: Sequence[str]) -> Iterator[Watch]:
    """Open connections to the quiet tenants for the block."""
    with contextlib.ExitStack() as stack:
        connections = []
        for url in quiet_urls if system.tells_latencies else ():
            connection = psycopg.connect(url, autocommit=True)
            stack.callback(connection.close)
            connections.append(connection)
        yield Watch(system, connections)
