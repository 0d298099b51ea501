"""Which large transactions have not been heard of for too long.

**Model.** A client that hangs keeps its stream, and its intents lock on. So it has to speak up now
and then: any request of the transaction counts. While the node itself keeps it waiting, for the
disk or with its commit, silence is no sign: what it is silent for begins when that is over.

    request → seen          every lapse_s / 4: served now? → seen
                                               not seen for lapse_s? → lapsed, remembered

**Invariants.** Whoever lapsed is told so at its next requests, until it ends; of more than 10,000
such the oldest is forgotten.

**Concurrency.** Owner: the event loop.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from kvapi.errors import WriteConflict
from kvnode.txn.intent_holds import IntentHolds
from kvnode.txn.layers import StagedTxn
from kvnode.txn.lock_queue import Owner, stream_of

LAPSED: Final = "the transaction's heartbeat lapsed: it was rolled back"
_LAPSED_MAX: Final = 10_000


class Heartbeats:
    """Looks at all transactions that hold intents, as long as there are any."""

    def __init__(
        self,
        holds: IntentHolds,
        loop: asyncio.AbstractEventLoop,
        *,
        lapse_s: float,
        on_lapse: Callable[[StagedTxn], None],
    ) -> None:
        self._holds = holds
        self._loop = loop
        self._lapse_s = lapse_s
        self._on_lapse = on_lapse
        self._lapsed: dict[Owner, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def check(self, owner: Owner) -> None:
        """Refuse a transaction that lapsed. Raises: WriteConflict."""
        if owner in self._lapsed:
            raise WriteConflict(LAPSED)

    def remember(self, owner: Owner) -> None:
        """Take note that `owner` lapsed, until it ends."""
        while len(self._lapsed) >= _LAPSED_MAX:
            del self._lapsed[next(iter(self._lapsed))]
        self._lapsed[owner] = None

    def forget(self, owner: Owner) -> None:
        """Take note that `owner` ends."""
        self._lapsed.pop(owner, None)

    def forget_stream(self, stream_id: int) -> None:
        """Take note that all owners of a stream end."""
        for owner in [owner for owner in self._lapsed if stream_of(owner) == stream_id]:
            del self._lapsed[owner]

    def watch(self) -> None:
        """Begin to look, if that has not begun."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._lapse_s / 4, self._look)

    def stop(self) -> None:
        """Look no more: nobody holds intents."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        for tenant in list(self._holds.tenants.values()):
            for txn in list(tenant.layers.holding.values()):
                if txn.is_served:
                    txn.seen_s = now_s
                elif txn.seen_s < now_s - self._lapse_s:
                    self._on_lapse(txn)
        if self._holds.tenants:
            self.watch()
