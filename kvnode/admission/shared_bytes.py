"""Bytes of all tenants under one bound, so that no tenant takes the room of the others.

**Model.** Half of the bound is open, and divided among the tenants that have anything here: up to
its share of that a tenant is admitted even if others have filled more than the open half, out of
the other half, which is kept for that. Beyond its share it may have as much as is free besides.

    bound = 80   one alone has 40, its share
                 two comes: both shares are 20. One, over its own, gets no more
                 two gets its 20, though the open half is full
                 one goes down to 20 as its requests are answered

This is the dynamic threshold of shared-memory switches with a reserve beneath it.

**Invariants.** total ≤ bytes_max for who asks `admits` first, but for one request that found
nothing here: one that is larger than all there is could never pass otherwise. Who has nothing is
admitted while there is any room. What is kept lasts for newcomers until those before them have gone
down to their new shares, for they get nothing until then.

**Concurrency.** Pure. Owner: the event loop.

**Source.** Choudhury, Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
IEEE/ACM Transactions on Networking, 1998.
"""

from typing import Final

_OPEN: Final = 0.5
_OPEN_WHEN_SHORT: Final = 0.125


class SharedBytes:
    """What tenants hold of one resource."""

    __slots__ = ("_of", "bytes_max", "is_short", "total")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.total = 0
        self.is_short = False  # the process as a whole has too much: less is open
        self._of: dict[int, int] = {}

    def of(self, tenant_id: int) -> int:
        """Return what a tenant has."""
        return self._of.get(tenant_id, 0)

    def admits(self, tenant_id: int, size_bytes: int) -> bool:
        """Tell whether a tenant may have so many bytes more."""
        own = self._of.get(tenant_id, 0)
        return not self.total or (
            self.has_room_for(size_bytes)
            and (not own or self._is_fair(own + size_bytes, self._active(own)))
        )

    @property
    def opened(self) -> int:
        """What is divided into shares."""
        return int(self.bytes_max * (_OPEN_WHEN_SHORT if self.is_short else _OPEN))

    def has_room_for(self, size_bytes: int) -> bool:
        """Tell whether the whole has room for so many bytes more."""
        return self.total + size_bytes <= self.bytes_max

    def is_within(self, tenant_id: int, size_bytes: int = 0) -> bool:
        """Tell whether a tenant would be within the share of those that have something here."""
        return (self._of.get(tenant_id, 0) + size_bytes) * len(self._of) <= self.opened

    def is_over(self, tenant_id: int) -> bool:
        """Tell whether a tenant has more than it may, now that others are here too."""
        own = self._of.get(tenant_id, 0)
        if not own:
            return False
        return self.total >= self.bytes_max or not self._is_fair(own, self._active(own))

    def add(self, tenant_id: int, size_bytes: int) -> None:
        """Count more, or less."""
        self.total += size_bytes
        if own := self._of.get(tenant_id, 0) + size_bytes:
            self._of[tenant_id] = own
        else:
            self._of.pop(tenant_id, None)

    def _active(self, own: int) -> int:
        return len(self._of) if own else len(self._of) + 1

    def _is_fair(self, own: int, active: int) -> bool:
        opened = self.opened
        return own * active <= opened or own + self.total <= opened
