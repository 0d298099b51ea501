"""Dependencies between transactions, and the cycles that isolation levels forbid.

**Model.** An edge says "must come before": `ww` overwrote, `wr` was read by, `rw` read what the
other replaced (`prw`: by a predicate), `rt` ended before the other began. In a serial order no edge
points back, so every cycle is an anomaly; which edges it has says which one.

```
  G0             ww …                  dirty write
  G1c            ww, wr …              circular information flow
  G-single       one rw                read skew; with ww: lost update
  G-nonadjacent  rw, but no two adjacent    what snapshot isolation excludes as well
  G2-item, G2    rw next to rw         write skew; by predicates: phantoms
```

With `-realtime` the cycle needs an `rt` edge: some order explains everything, but not that of time.

**Source.** Adya, "Weak Consistency", MIT 1999, chapters 3 and 4; Fekete et al., "Making Snapshot
Isolation Serializable", TODS 2005, for the two adjacent `rw`.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from tests.history.model import Key, Level

WW, WR, RW, PRW, RT = "ww", "wr", "rw", "prw", "rt"
_STARTS_MAX = 40  # nodes of a component from which a short cycle is looked for


class Edge(NamedTuple):
    """`target` must come after the node that holds this edge."""

    target: int
    kind: str
    key: Key = None


class Graph:
    """Nodes 0 … node_count - 1 are transactions; later ones are moments of real time."""

    def __init__(self, txn_count: int) -> None:
        self.txn_count = txn_count
        self.edges: list[list[Edge]] = [[] for _ in range(txn_count)]

    def add(self, source: int, target: int, kind: str, key: Key = None) -> None:
        """Add an edge; none from a transaction to itself."""
        if source != target:
            self.edges[source].append(Edge(target, kind, key))

    def add_real_time(self, intervals: Sequence[tuple[float, float | None] | None]) -> None:
        """Order what ended before another began; None as an end: perhaps never.

        A node for each end, chained in time, keeps this linear: T → its end → later ends → those
        that begin after.
        """
        moments: list[tuple[float, int, int]] = []
        for txn, interval in enumerate(intervals):
            if interval is not None:
                begin_s, end_s = interval
                moments.append((begin_s, 0, txn))  # what begins as another ends is concurrent
                if end_s is not None:
                    moments.append((end_s, 1, txn))
        moments.sort()
        last: int | None = None
        for _, is_end, txn in moments:
            if is_end:
                self.edges.append([])
                node = len(self.edges) - 1
                self.add(txn, node, RT)
                if last is not None:
                    self.add(last, node, RT)
                last = node
            elif last is not None:
                self.add(last, txn, RT)


class Cycle(NamedTuple):
    """A cycle of transactions: `steps[i]` leads from `txns[i]` to the next, the last one back."""

    kind: str
    txns: tuple[int, ...]
    steps: tuple[tuple[str, Key], ...]


def find_cycles(graph: Graph, level: Level) -> Iterator[Cycle]:
    """Yield one cycle that `level` forbids for each component that has any."""
    for component in components(_forbidden(graph, level)):
        nodes = {node % len(graph.edges) for node in component}
        yield _name(graph, nodes)


def _forbidden(graph: Graph, level: Level) -> list[list[int]]:
    """Return successors such that exactly the cycles that `level` forbids are cycles."""
    if level is Level.SERIALIZABLE:
        return [[edge.target for edge in edges] for edges in graph.edges]
    if level is Level.READ_COMMITTED:
        return [[e.target for e in edges if e.kind not in (RW, PRW)] for edges in graph.edges]
    # Each node twice; the second is where one arrives by rw, and from there no rw leads on.
    count = len(graph.edges)
    after_other = [
        [e.target + (count if e.kind in (RW, PRW) else 0) for e in edges] for edges in graph.edges
    ]
    after_rw = [[e.target for e in edges if e.kind not in (RW, PRW)] for edges in graph.edges]
    return after_other + after_rw


def components(successors: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components of more than one node (Tarjan, without recursion).

    >>> list(map(sorted, components([[1], [2], [0], [0]])))
    [[0, 1, 2]]
    """
    count = len(successors)
    index = [-1] * count
    low = [0] * count
    is_open = bytearray(count)
    open_nodes: list[int] = []
    next_index = 0
    for root in range(count):
        if index[root] >= 0:
            continue
        work = [(root, iter(successors[root]))]
        index[root] = low[root] = next_index
        next_index += 1
        open_nodes.append(root)
        is_open[root] = 1
        while work:
            node, rest = work[-1]
            for target in rest:
                if index[target] < 0:
                    index[target] = low[target] = next_index
                    next_index += 1
                    open_nodes.append(target)
                    is_open[target] = 1
                    work.append((target, iter(successors[target])))
                    break
                if is_open[target]:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    component = _closed(open_nodes, is_open, node)
                    if len(component) > 1:
                        yield component


def _closed(open_nodes: list[int], is_open: bytearray, root: int) -> list[int]:
    component = []
    while True:
        node = open_nodes.pop()
        is_open[node] = 0
        component.append(node)
        if node == root:
            return component


class _Rule(NamedTuple):
    """Which steps a cycle of one kind may have."""

    kind: str
    others: frozenset[str]  # beside rw
    rw: str  # none; first: the first step and no other; apart: the first, never two adjacent; any

    def allows(self, step: str, *, after_rw: bool, is_first: bool, is_last: bool) -> bool:
        """Tell whether an edge may be taken."""
        is_rw = step in (RW, PRW)
        if self.rw in ("first", "apart") and is_first:
            return is_rw
        if not is_rw:
            return step in self.others
        return self.rw == "any" or (self.rw == "apart" and not after_rw and not is_last)


_RULES = [
    _Rule(kind, frozenset({*others, *timed}), rw)
    for timed in ((), (RT,))
    for kind, others, rw in (
        ("G0", (WW,), "none"),
        ("G1c", (WW, WR), "none"),
        ("G-single", (WW, WR), "first"),
        ("G-nonadjacent", (WW, WR), "apart"),
        ("G2-item", (WW, WR), "any"),
    )
]


def _name(graph: Graph, nodes: Collection[int]) -> Cycle:
    """Return a short cycle inside a component, of the worst kind that is found."""
    for rule in _RULES:
        cycle = _shortest(graph, nodes, rule)
        if cycle is not None:
            used = {step for step, _ in cycle.steps}
            kind = "G2" if rule.rw == "any" and PRW in used else rule.kind
            return cycle._replace(kind=f"{kind}-realtime" if RT in used else kind)
    some = sorted(node for node in nodes if node < graph.txn_count)[:10]
    return Cycle("cycle", tuple(some), tuple(("?", None) for _ in some))


def _shortest(graph: Graph, nodes: Collection[int], rule: _Rule) -> Cycle | None:
    """Return a shortest cycle through one of the nodes tried."""
    best: Cycle | None = None
    for start in islice((n for n in sorted(nodes) if n < graph.txn_count), _STARTS_MAX):
        cycle = _search(graph, nodes, start, rule)
        if cycle is not None and (best is None or len(cycle.txns) < len(best.txns)):
            best = cycle
            if len(best.txns) == 2:
                break
    return best


_State = tuple[int, bool]  # a node, and whether rw led there


def _search(graph: Graph, nodes: Collection[int], start: int, rule: _Rule) -> Cycle | None:
    """Search breadth first from `start` back to it."""
    first = (start, False)
    came: dict[_State, tuple[_State, Edge]] = {}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        for edge in graph.edges[state[0]]:
            is_last = edge.target == start
            if edge.target not in nodes or not rule.allows(
                edge.kind, after_rw=state[1], is_first=state is first, is_last=is_last
            ):
                continue
            if is_last:
                return _cycle(graph, came, state, first, edge)
            after = (edge.target, edge.kind in (RW, PRW))
            if after not in came:
                came[after] = (state, edge)
                queue.append(after)
    return None


def _cycle(
    graph: Graph,
    came: dict[_State, tuple[_State, Edge]],
    state: _State,
    first: _State,
    closing: Edge,
) -> Cycle:
    path = [(state[0], closing)]
    while state != first:
        state, edge = came[state]
        path.append((state[0], edge))
    path.reverse()
    on_txns = [(node, edge) for node, edge in path if node < graph.txn_count]
    return Cycle(
        "",
        tuple(node for node, _ in on_txns),
        tuple((edge.kind, edge.key) for _, edge in on_txns),
    )
