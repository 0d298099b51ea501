"""The list-append checker: from what was read to the dependencies, from those to the anomalies.

**Model.** The longest list that anybody read of a key is the order of its writes; every other read
is a beginning of it, or an anomaly by itself. From the order follow the edges of `graph.py`.

**Invariants.** A transaction of unknown outcome counts as committed once somebody saw its writes,
and not at all before. No correct history is reported, whatever failed or is unknown in it. For a
complete check the history ends with a read of every key.
"""

import itertools
from collections.abc import Iterator, Sequence

from tests.history.graph import PRW, RT, RW, WR, WW, Cycle, Graph, find_cycles
from tests.history.model import Anomaly, Append, Key, Level, Outcome, Read, Txn, Value

_Element = tuple[Key, Value]


def check(txns: Sequence[Txn], level: Level) -> list[Anomaly]:
    """Return everything in the history that `level` forbids."""
    history = _History(txns, level)
    anomalies = [
        *history.dirty_reads(),
        *history.broken_orders(),
        *history.lost_updates(),
    ]
    graph = history.graph()
    anomalies += [_explain(cycle, history, graph) for cycle in find_cycles(graph, level)]
    return anomalies


class _History:
    """A history with what was derived of it so far."""

    def __init__(self, txns: Sequence[Txn], level: Level) -> None:
        self.txns = txns
        self.level = level
        self.writers: dict[_Element, int] = {}
        self.undone: dict[_Element, int] = {}
        for number, txn in enumerate(txns):
            self.undone.update(((op.key, op.value), number) for op in txn.undone)
            for op in txn.ops:
                if isinstance(op, Append):
                    self.writers[op.key, op.value] = number
        self.orders = self._orders()
        self._members = {key: set(order) for key, order in self.orders.items()}
        self.committed = self._committed()
        self.reads = {number: list(_external(txns[number])) for number in self.committed}

    def _orders(self) -> dict[Key, tuple[Value, ...]]:
        """Return the longest list that was read of each key."""
        orders: dict[Key, tuple[Value, ...]] = {}
        for txn in self.txns:
            if txn.outcome is Outcome.OK:
                for op in txn.ops:
                    if isinstance(op, Read) and len(op.values) > len(orders.get(op.key, ())):
                        orders[op.key] = op.values
        return orders

    def _committed(self) -> list[int]:
        seen = {
            self.writers.get((key, value))
            for key, values in self.orders.items()
            for value in values
        }
        return [
            number
            for number, txn in enumerate(self.txns)
            if txn.outcome is Outcome.OK or (txn.outcome is Outcome.UNKNOWN and number in seen)
        ]

    def dirty_reads(self) -> list[Anomaly]:
        """Return reads of what never committed, of intermediate states, and of nobody's values."""
        found: list[Anomaly] = []
        for number in self.committed:
            for read, own_count in self.reads[number]:
                found += self._dirty(number, read, len(read.values) - own_count)
        return found

    def _dirty(self, reader: int, read: Read, external_count: int) -> list[Anomaly]:
        found = []
        for value in read.values:
            element = (read.key, value)
            writer = self.writers.get(element)
            if element in self.undone:
                detail = (
                    f"T{reader} read {value} of {read.key}, which was rolled back to a savepoint"
                )
                found.append(Anomaly("G1a", detail, (reader, self.undone[element])))
            elif writer is None:
                detail = f"T{reader} read {value} of {read.key}, which nobody wrote"
                found.append(Anomaly("garbage read", detail, (reader,)))
            elif self.txns[writer].outcome is Outcome.FAILED:
                detail = f"T{reader} read {value} of {read.key}, but its writer T{writer} failed"
                found.append(Anomaly("G1a", detail, (reader, writer)))
        if external_count and (last := read.values[external_count - 1]) is not None:
            writer = self.writers.get((read.key, last))
            if writer is not None and writer != reader:
                final = _appends(self.txns[writer], read.key)
                if final and final[-1] != last:
                    detail = f"T{reader} read {read.key} between two writes of T{writer}"
                    found.append(Anomaly("G1b", detail, (reader, writer)))
        return found

    def broken_orders(self) -> list[Anomaly]:
        """Return what contradicts the order of a list: doubles, branches, losses, own writes."""
        found: list[Anomaly] = []
        for key, order in self.orders.items():
            if len(set(order)) < len(order):
                found.append(Anomaly("duplicate append", f"{key} holds a value twice: {order}"))
        for number in self.committed:
            txn = self.txns[number]
            found += self._branches(number)
            found += self._own_reads(number)
            for op in txn.ops:
                if isinstance(op, Append) and op.value not in self._members.get(op.key, {op.value}):
                    detail = f"T{number} committed {op.value} to {op.key}, and it is gone"
                    found.append(Anomaly("lost append", detail, (number,)))
        return found

    def _branches(self, number: int) -> list[Anomaly]:
        found = []
        for read, own_count in self.reads[number]:
            external = read.values[: len(read.values) - own_count]
            if self.orders.get(read.key, ())[: len(external)] != external:
                detail = (
                    f"T{number} read {read.key} as {external}, no beginning of what others read"
                )
                found.append(Anomaly("incompatible order", detail, (number,)))
        return found

    def _own_reads(self, number: int) -> list[Anomaly]:
        """Return reads that miss an own write, or differ from an earlier read of the same key."""
        found = []
        own: dict[Key, list[Value]] = {}
        before: dict[Key, tuple[Value, ...]] = {}
        for op in self.txns[number].ops:
            if isinstance(op, Append):
                own.setdefault(op.key, []).append(op.value)
                continue
            mine = tuple(own.get(op.key, ()))
            external = op.values[: len(op.values) - len(mine)]
            if op.values[len(external) :] != mine:
                detail = f"T{number} read {op.key} as {op.values} after it had appended {mine}"
                found.append(Anomaly("internal", detail, (number,)))
            elif (
                self.level is not Level.READ_COMMITTED and before.get(op.key, external) != external
            ):
                detail = f"T{number} read {op.key} as {before[op.key]} and then as {external}"
                found.append(Anomaly("internal", detail, (number,)))
            before[op.key] = external
        return found

    def lost_updates(self) -> list[Anomaly]:
        """Return pairs that read the same state of a key and both wrote it (P4)."""
        if self.level is Level.READ_COMMITTED:
            return []
        found = []
        updaters: dict[tuple[Key, int], int] = {}
        for number in self.committed:
            first_reads: dict[Key, int] = {}
            updated: set[Key] = set()
            for op in self.txns[number].ops:
                if isinstance(op, Read):
                    first_reads.setdefault(op.key, len(op.values))
                elif op.key in first_reads and op.key not in updated:
                    updated.add(op.key)
                    state = (op.key, first_reads[op.key])
                    other = updaters.setdefault(state, number)
                    if other != number:
                        detail = f"T{other} and T{number} read the same {op.key} and both wrote it"
                        found.append(Anomaly("lost update", detail, (other, number)))
                else:
                    updated.add(op.key)  # without looking
        return found

    def graph(self) -> Graph:
        """Return all dependencies."""
        graph = Graph(len(self.txns))
        owners = {
            key: [self.writers.get((key, value)) for value in order]
            for key, order in self.orders.items()
        }
        for key, order in owners.items():
            for before, after in itertools.pairwise(order):
                if before is not None and after is not None:
                    graph.add(before, after, WW, key)
        for number in self.committed:
            for read, own_count in self.reads[number]:
                order = owners.get(read.key, [])
                at = len(read.values) - own_count
                if 0 < at <= len(order) and (before := order[at - 1]) is not None:
                    graph.add(before, number, WR, read.key)
                if at < len(order) and (after := order[at]) is not None:
                    graph.add(number, after, PRW if read.is_predicate else RW, read.key)
        intervals: list[tuple[float, float | None] | None] = [None] * len(self.txns)
        for number in self.committed:
            txn = self.txns[number]
            intervals[number] = (txn.begin_s, txn.end_s if txn.outcome is Outcome.OK else None)
        graph.add_real_time(intervals)
        return graph


def _external(txn: Txn) -> Iterator[tuple[Read, int]]:
    """Yield each read with how many of its last values are the transaction's own."""
    own: dict[Key, int] = {}
    for op in txn.ops:
        if isinstance(op, Append):
            own[op.key] = own.get(op.key, 0) + 1
        else:
            yield op, min(own.get(op.key, 0), len(op.values))


def _appends(txn: Txn, key: Key) -> list[Value]:
    return [op.value for op in txn.ops if isinstance(op, Append) and op.key == key]


def _explain(cycle: Cycle, history: _History, graph: Graph) -> Anomaly:
    """Say in words why each transaction of the cycle must come before the next."""
    words = {
        WW: "wrote {key}, which the next one wrote over",
        WR: "wrote what the next one read of {key}",
        RW: "read {key} as it was before the next one wrote it",
        PRW: "read {key} by predicate as it was before the next one wrote into it",
        RT: "had ended before the next one began",
    }
    kind = cycle.kind
    readers = {n for n in cycle.txns if not any(isinstance(o, Append) for o in history.txns[n].ops)}
    if readers and kind in ("G2", "G2-item") and not _has_cycle_without(graph, readers, cycle):
        kind += " (read-only anomaly)"
    steps = [
        f"T{number} {words.get(step, 'is in it').format(key=key)}"
        for number, (step, key) in zip(cycle.txns, cycle.steps, strict=True)
    ]
    return Anomaly(kind, "; ".join(steps) + f" (T{cycle.txns[0]} again)", cycle.txns)


def _has_cycle_without(graph: Graph, readers: set[int], cycle: Cycle) -> bool:
    """Tell whether the writers of a cycle alone form one: else it takes a reader to see it."""
    writers = set(cycle.txns) - readers
    without = Graph(graph.txn_count)
    for node in writers:
        without.edges[node] = [edge for edge in graph.edges[node] if edge.target in writers]
    return next(find_cycles(without, Level.SERIALIZABLE), None) is not None
