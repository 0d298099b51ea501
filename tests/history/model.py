"""What clients did and saw: transactions of appends to lists, and reads of lists.

**Model.** Every appended value is unique in its list, so a list that was read tells the order of
all writes to it, and who wrote what (Elle's list-append). How a list is stored does not matter
here: one text that grows, or a row for each element, which makes the read a predicate read.

**Invariants.** `failed` means that the transaction certainly did not happen, `ok` that it did;
whatever was not told to the client, or told as 40003, is `unknown`.

**Source.** Alvaro, Kingsbury, "Elle: Inferring Isolation Anomalies from Experimental Observations",
VLDB 2021.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

Key = Hashable
Value = Hashable


class Append(NamedTuple):
    """The transaction added `value` to the end of the list `key`."""

    key: Key
    value: Value


class Read(NamedTuple):
    """The transaction saw the list `key`; by a predicate if its elements are rows."""

    key: Key
    values: tuple[Value, ...]
    is_predicate: bool = False


class Outcome(Enum):
    """What the client knows at the end."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Level(Enum):
    """What was promised. Strict: also in the order of real time."""

    SERIALIZABLE = "serializable"
    REPEATABLE_READ = "repeatable read"  # snapshot isolation, as in PostgreSQL
    READ_COMMITTED = "read committed"


@dataclass(slots=True)
class Txn:
    """One transaction of one client, from before its first request to after its last answer."""

    client: Hashable
    begin_s: float
    ops: list[Append | Read] = field(default_factory=list)
    undone: list[Append] = field(default_factory=list)  # by ROLLBACK TO SAVEPOINT: never to be seen
    outcome: Outcome = Outcome.UNKNOWN
    end_s: float | None = None
    note: str = ""  # the error, a commit timestamp: for the reader of a trace

    def undo_to(self, mark: int) -> None:
        """Take back the appends since there were `mark` operations; what was read stays read."""
        lost = {op for op in self.ops[mark:] if isinstance(op, Append)}
        self.undone += lost
        kept = self.ops[:mark]
        for op in self.ops[mark:]:
            if isinstance(op, Read):
                values = tuple(v for v in op.values if Append(op.key, v) not in lost)
                kept.append(op._replace(values=values))
        self.ops = kept

    def end(self, outcome: Outcome, end_s: float, note: str = "") -> None:
        """Note how it ended."""
        self.outcome, self.end_s, self.note = outcome, end_s, note

    def __str__(self) -> str:
        until = "?" if self.end_s is None else f"{self.end_s:.4f}"
        ops = "  ".join(map(show, self.ops)) + "".join(
            f"  ({show(op)} undone)" for op in self.undone
        )
        note = f"  -- {self.note}" if self.note else ""
        when = f"[{self.begin_s:.4f} .. {until}]"
        return f"client {self.client} {when} {self.outcome.value}: {ops}{note}"


def show(op: Append | Read) -> str:
    """Return an operation as the traces write it.

    >>> show(Append("x", 3)), show(Read("x", (1, 2)))
    ('append x 3', 'read x [1 2]')
    """
    if isinstance(op, Append):
        return f"append {op.key} {op.value}"
    shown = [str(value) for value in op.values]
    if len(shown) > 12:
        shown = [f"… {len(shown) - 10} more", *shown[-10:]]
    return f"read {op.key} [{' '.join(shown)}]"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that a level forbids, or that none allows."""

    kind: str
    detail: str
    txns: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def describe(anomalies: Sequence[Anomaly], txns: Sequence[Txn], *, count_max: int = 5) -> str:
    """Return a text for a failing test: each anomaly and the transactions in it."""
    lines = []
    for anomaly in anomalies[:count_max]:
        lines.append(str(anomaly))
        lines += [f"    T{index} {txns[index]}" for index in dict.fromkeys(anomaly.txns)]
    if len(anomalies) > count_max:
        lines.append(f"… and {len(anomalies) - count_max} more")
    return "\n".join(lines)
