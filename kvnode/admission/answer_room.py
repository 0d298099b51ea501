"""Room for answers that comes free goes to who waits for it; nobody within its share is held up.

**Model.** A stream whose next read found no room *claims* it. Claims are kept by tenant, first
come, first served. A tenant's rank is what it would hold if its first claim were met; one that
holds nothing is before all that do. Whatever may let somebody in (bytes given back, a claim
withdrawn) hands out what is free, in order of rank:

    bound = 80   tenant   holds   claims   its share
    10 are       4        0       30       20: asks for more, is refused, and is waited for
    free         3        0       12       20: within it, refused
                 2        10      8        20: within it, and passes
                 1        60      2        20: beyond it, may not pass

Tenants whose claims are of one size have a line of their own, in that order. If its first is
refused, all of the line are: there is room for none of them, or none of them is within its share.
So looking at the first of each line is looking at everybody. Sizes are rounded up to one of four
for each power of two, so that there are few lines, whatever clients ask for.

**Invariants.** Who is within its share and finds room is admitted, whatever waits, or at the latest
`later`: after `_GRANTS_MAX` claims in one call the next turn of the loop goes on, and nobody before
it. The one exception, a claim for more than what is not open (`NodeConfig` allows none), passes
alone. The bytes of a claim count from the moment it is met.

Nobody starves, as long as what is held is given back. While a claim for a share or less is refused
for want of room, who is beyond its share gets nothing, and the shares of the others add up to the
open half: as soon as those beyond have gone down, everybody else's claims fit. `missing_bytes` says
that this is awaited; `unread_watch.py` sees to it that it happens. Among those that hold nothing
and ask for more than a share the one that waited longest is next, and the others wait for it.

What is done for one claim is O(log tenants).

**Concurrency.** Pure. Owner: the event loop.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from kvnode.admission.shared_bytes import SharedBytes

_GRANTS_MAX: Final = 32  # at once; each queues a task, about 5 µs
_Place = tuple[int, int, int, int]  # rank, since, turn, tenant


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
    """What a tenant waits for. Its entry in a line is the one with its `turn`."""

    __slots__ = ("claimants", "place", "since", "turn")

    def __init__(self) -> None:
        self.claimants: OrderedDict[Claimant, None] = OrderedDict()
        self.place = (-1, -1, -1)  # its line, its rank, and `since`
        self.since = self.turn = 0

    @property
    def first(self) -> Claimant:
        """Whose claim is next."""
        return next(iter(self.claimants))


class AnswerRoom(SharedBytes):
    """Bytes of answers, and who waits for some.

    `missing_bytes`: how much has to be given back before somebody gets room who is within its
    share, or holds nothing; 0: nobody like that waits. `on_missing` is called when that begins.
    """

    __slots__ = (
        "_claims",
        "_counter",
        "_is_granting",
        "_is_later",
        "_later",
        "_lines",
        "_moved",
        "_place_count",
        "missing_bytes",
        "on_missing",
    )

    def __init__(self, bytes_max: int, later: Callable[[Callable[[], None]], object]) -> None:
        """`later`: call something in the next turn of the loop."""
        super().__init__(bytes_max)
        self._later = later
        self._claims: dict[int, _Claims] = {}
        self._lines: dict[int, list[_Place]] = {}  # heaps, by the size of the claims
        self._place_count = 0  # in all lines
        self._moved: dict[int, None] = {}  # tenants whose place may have changed
        self._counter = 0
        self._is_granting = self._is_later = False
        self.missing_bytes = 0
        self.on_missing: Callable[[], None] = _ignore

    def is_free_for(self, tenant_id: int, size_bytes: int) -> bool:
        """Tell whether a tenant may have so many bytes more without a claim."""
        if not self._claims:
            return self.admits(tenant_id, size_bytes)
        return (
            tenant_id not in self._claims
            and not self._is_later
            and self.has_room_for(size_bytes)
            and self.is_within(tenant_id, size_bytes)
            and not self._is_alone()
        )

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
        was_missing, self._is_granting = self.missing_bytes, True
        try:
            for _ in range(_GRANTS_MAX):
                if (claimant := self._next()) is None:
                    break
                self._forget(claimant, is_met=True)
                claimant.enter_next()
            else:
                self._is_later, self.missing_bytes = True, 0  # not known
                self._later(self._go_on)
        finally:
            self._is_granting = False
        if self.missing_bytes and not was_missing:
            self.on_missing()

    def _go_on(self) -> None:
        self._is_later = False
        self.grant()

    def _next(self) -> Claimant | None:
        """Return whose turn it is, if anybody is admitted; note what is missing otherwise."""
        for tenant_id in self._moved:
            self._place(tenant_id)
        self._moved.clear()
        missing = 0
        for size, place in self._firsts():
            tenant_id = place[3]
            claimant = self._claims[tenant_id].first
            is_within = self.is_within(tenant_id, size)
            if self.total and not self.has_room_for(size):
                if (is_within or not place[0]) and not missing:
                    missing = min(self.total, self.total + size - self.bytes_max)
                if self._passes_alone(size):
                    break
            elif is_within or (not missing and self.admits(tenant_id, claimant.next_bytes)):
                return claimant
        self.missing_bytes = missing
        return None

    def _firsts(self) -> list[tuple[int, _Place]]:
        """Return size and first of each line, in order of rank."""
        found = []
        for size, line in list(self._lines.items()):
            while line and not self._counts(line[0]):
                heapq.heappop(line)
                self._place_count -= 1
            if line:
                found.append((size, line[0]))
            else:
                del self._lines[size]
        if len(found) > 1:
            found.sort(key=_place_of)
        return found

    def _is_alone(self) -> bool:
        """Tell whether somebody waits whom nobody may pass."""
        return any(map(self._passes_alone, self._lines))

    def _passes_alone(self, size: int) -> bool:
        return size > self.bytes_max - self.opened

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

    def _place(self, tenant_id: int) -> None:
        """Put a tenant where it belongs; its older entry counts no more."""
        if (claims := self._claims.get(tenant_id)) is None:
            return
        own, size = self.of(tenant_id), _rounded(claims.first.next_bytes)
        place = (size, own + size if own else 0, claims.since)
        if place == claims.place:
            return
        self._counter += 1
        claims.place, claims.turn = place, self._counter
        line = self._lines.setdefault(size, [])
        heapq.heappush(line, (place[1], claims.since, claims.turn, tenant_id))
        self._place_count += 1
        if self._place_count > 2 * len(self._claims) + 64:
            self._clean()

    def _clean(self) -> None:
        """Drop the places that count no more."""
        self._place_count = 0
        for size, line in self._lines.items():
            line = self._lines[size] = [place for place in line if self._counts(place)]
            heapq.heapify(line)
            self._place_count += len(line)

    def _counts(self, place: _Place) -> bool:
        claims = self._claims.get(place[3])
        return claims is not None and claims.turn == place[2]


def _rounded(size_bytes: int) -> int:
    """Round up to one of four sizes for each power of two."""
    step = 1 << max(0, size_bytes.bit_length() - 3)
    return -(-size_bytes // step) * step


def _place_of(first: tuple[int, _Place]) -> _Place:
    return first[1]


def _ignore() -> None:
    return None
