"""What a scenario did to the KV node: its memory, and how long its event loop was held up.

**Model.** Stalls come from the KV node's histograms, which count since its start: a difference is
of a span. *Held* is CPU time of the loop's thread at a stretch, which is the node's own doing;
*late* is how late a timer came, by the clock on the wall, which also counts the time in which the
machine was busy with others. The timer ticks every 5 ms, so a stall may be longer by that than what
it saw.

Memory is what the process has to itself (RssAnon), its bound `[kvnode] memory_bytes_max`. The pages
of the store's file are not: the system takes them back when it needs them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvnode.admission.watchdog import TICK_S

STALL_S_MAX: Final = 0.020
_NAMES: Final = {"held": "insula_kvnode_loop_held", "late": "insula_kvnode_loop_late"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpan:
    """The KV node in one span."""

    peak_bytes: int
    bound_bytes: int
    stalls: int  # over 5 ms of CPU time
    held_s: float  # the longest of them; 0: none was over 5 ms
    late_s: float

    @property
    def is_responsive(self) -> bool:
        """Whether no stall can have been longer than STALL_S_MAX."""
        return not self.stalls or self.held_s + TICK_S <= STALL_S_MAX


@dataclass(frozen=True, slots=True)
class Stalls:
    """What the node has counted since its start."""

    held: Mapping[float, int]  # upper bound in seconds → stretches up to it
    late: Mapping[float, int]
    held_s_max: float


def read_stalls(text: str) -> Stalls:
    """Parse the node's metrics."""
    buckets = {}
    for what, name in _NAMES.items():
        rows = re.findall(rf'^{name}_seconds_bucket{{le="(\S+)"}} (\S+)$', text, re.MULTILINE)
        buckets[what] = {float(bound): int(float(count)) for bound, count in rows}
    longest = re.search(r"^insula_kvnode_loop_held_seconds_max (\S+)$", text, re.MULTILINE)
    return Stalls(buckets["held"], buckets["late"], float(longest[1]) if longest else 0.0)


def node_span(before: Stalls, after: Stalls, *, peak_bytes: int, bound_bytes: int) -> NodeSpan:
    """Return what lies between."""
    held_s = _longest(before.held, after.held)
    if after.held_s_max > before.held_s_max:
        held_s = after.held_s_max
    return NodeSpan(
        peak_bytes=peak_bytes,
        bound_bytes=bound_bytes,
        stalls=max(after.held.values(), default=0) - max(before.held.values(), default=0),
        held_s=held_s,
        late_s=_longest(before.late, after.late),
    )


def _longest(before: Mapping[float, int], after: Mapping[float, int]) -> float:
    """Return the upper bound of the highest bucket that has got more; 0 if none has."""
    found, less = 0.0, 0
    for bound in sorted(after):
        more = after[bound] - before.get(bound, 0)
        if more > less:
            found, less = bound, more
    return found


def private_bytes(pid: int) -> int:
    """Return the memory that a process has to itself."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0
