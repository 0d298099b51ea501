"""Turns for the node's own background work: it takes what requests leave."""

import asyncio
from collections.abc import Callable

from kvnode.admission.scheduler import Scheduler
from kvnode.admission.task import Task


class Turn(Task):
    """One turn: `go` is called when it comes."""

    is_elastic = True
    wait_kind = "elastic"

    def __init__(self, tenant_id: int, go: Callable[[], None]) -> None:
        self.tenant_id = tenant_id
        self._go = go

    def run(self, ends_s: float) -> bool:
        del ends_s  # what it starts is a quantum by itself, in the writer thread
        self._go()
        return True


async def elastic_turn(scheduler: Scheduler, tenant_id: int) -> None:
    """Return when background work for a tenant may go on."""
    came = asyncio.Event()
    turn = Turn(tenant_id, came.set)
    scheduler.submit(turn)
    try:
        await came.wait()
    finally:
        scheduler.withdraw(turn)
