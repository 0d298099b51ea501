"""Room for answers that comes free goes to who waits for it: who holds least is first.

**Model.** A stream whose next read found no room *claims* it. Claims are kept by tenant, first
come, first served; a tenant's rank is what it would hold if its first claim were met. One that
holds nothing is before all that do, whatever it asks for: `SharedBytes` admits it where it refuses
them. Whatever may let somebody in (bytes given back, a claim withdrawn) hands out what is free, in
order of rank, until one is refused:

    tenant   holds   claims   rank
    3        0       50       first    15 are free: 3 is refused, and nobody passes it
    2        10      20       30       50 are free: 3 is admitted, then 2 is asked
    1        30      5        35

Of those that hold something the first has the best chance to be within its share: if it is not,
nobody behind it is. If it is, and there is no room for it in the whole, it is its turn.

**Invariants.** Who would be admitted waits only behind one that is refused, or until `later`: after
`_GRANTS_MAX` claims in one call the next turn of the loop goes on, and nobody before it. The bytes
of a claim count from the moment it is met, so nobody takes them before the read has its turn. What
is done for one claim is O(log tenants).

**Concurrency.** Pure. Owner: the event loop.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from kvnode.admission.shared_bytes import SharedBytes

_GRANTS_MAX: Final = 32  # at once; each queues a task, about 5 µs


class Claimant(Protocol):
    """A stream with a read that waits for room."""

    tenant_id: int

    @property
    def next_bytes(self) -> int:
        """What its next read needs, > 0."""
        ...

    def enter_next(self) -> None:
        """Let that read in, and count its bytes; claim again for the one after it."""
        ...


class _Claims:
    """What a tenant waits for. Its entry in the heap is the one with its `turn`."""

    __slots__ = ("claimants", "place", "since", "turn")

    def __init__(self) -> None:
        self.claimants: OrderedDict[Claimant, None] = OrderedDict()
        self.place = (-1, -1)  # its rank, and `since`
        self.since = self.turn = 0


class AnswerRoom(SharedBytes):
    """Bytes of answers, and who waits for some."""

    __slots__ = ("_claims", "_counter", "_heap", "_is_granting", "_is_later", "_later", "_moved")

    def __init__(self, bytes_max: int, later: Callable[[Callable[[], None]], object]) -> None:
        """`later`: call something in the next turn of the loop."""
        super().__init__(bytes_max)
        self._later = later
        self._claims: dict[int, _Claims] = {}
        self._heap: list[tuple[int, int, int, int]] = []  # rank, since, turn, tenant
        self._moved: dict[int, None] = {}  # tenants whose rank may have changed
        self._counter = 0
        self._is_granting = self._is_later = False

    def is_free_for(self, tenant_id: int, size_bytes: int) -> bool:
        """Tell whether a tenant may have so many bytes more, and nobody waits for them."""
        return not self._claims and self.admits(tenant_id, size_bytes)

    def add(self, tenant_id: int, size_bytes: int) -> None:
        """Count more, or less; what is free is handed out."""
        super().add(tenant_id, size_bytes)
        if self._claims:
            self._change(tenant_id)

    def claim(self, claimant: Claimant) -> None:
        """Let a stream wait, or call its `enter_next` at once. Requires: it does not wait yet."""
        tenant_id = claimant.tenant_id
        if (claims := self._claims.get(tenant_id)) is None:
            claims = self._claims[tenant_id] = _Claims()
            self._line_up(claims)
        claims.claimants[claimant] = None
        self._change(tenant_id)

    def withdraw(self, claimant: Claimant) -> None:
        """Forget a claim."""
        self._forget(claimant)
        self._change(claimant.tenant_id)

    def changed(self, claimant: Claimant) -> None:
        """Learn that the next read of a waiting stream is another one."""
        self._change(claimant.tenant_id)

    def grant(self) -> None:
        """Hand out what is free: there may be more than was thought."""
        if self._is_granting or self._is_later:
            return  # the loop below goes on, or the next turn
        self._is_granting = True
        try:
            for _ in range(_GRANTS_MAX):
                if (claimant := self._next()) is None:
                    return
                self._forget(claimant, is_met=True)
                claimant.enter_next()
        finally:
            self._is_granting = False
        self._is_later = True
        self._later(self._go_on)

    def _go_on(self) -> None:
        self._is_later = False
        self.grant()

    def _next(self) -> Claimant | None:
        """Return whose turn it is, if it is admitted."""
        for tenant_id in self._moved:
            self._rank(tenant_id)
        self._moved.clear()
        heap, all_claims = self._heap, self._claims
        while heap:
            _, _, turn, tenant_id = heap[0]
            claims = all_claims.get(tenant_id)
            if claims is not None and claims.turn == turn:
                claimant = next(iter(claims.claimants))
                return claimant if self.admits(tenant_id, claimant.next_bytes) else None
            heapq.heappop(heap)
        return None

    def _change(self, tenant_id: int) -> None:
        self._moved[tenant_id] = None
        self.grant()

    def _line_up(self, claims: _Claims) -> None:
        """Put a tenant behind those of the same rank."""
        self._counter += 1
        claims.since = self._counter

    def _forget(self, claimant: Claimant, *, is_met: bool = False) -> None:
        claims = self._claims[claimant.tenant_id]
        del claims.claimants[claimant]
        if not claims.claimants:
            del self._claims[claimant.tenant_id]
        elif is_met:
            self._line_up(claims)
            self._moved[claimant.tenant_id] = None

    def _rank(self, tenant_id: int) -> None:
        """Put a tenant where it belongs; its older entry counts no more."""
        if (claims := self._claims.get(tenant_id)) is None:
            return
        own = self.of(tenant_id)
        rank = own + next(iter(claims.claimants)).next_bytes if own else 0
        place = (rank, claims.since)
        if place == claims.place:
            return
        self._counter += 1
        claims.place, claims.turn = place, self._counter
        heapq.heappush(self._heap, (*place, claims.turn, tenant_id))
        if len(self._heap) > 2 * len(self._claims) + 64:
            self._heap = [
                entry
                for entry in self._heap
                if (of := self._claims.get(entry[3])) is not None and of.turn == entry[2]
            ]
            heapq.heapify(self._heap)
