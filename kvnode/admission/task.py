"""What takes turns on the event loop: it runs for a while, and comes back for more."""

from admission.queue import FairQueue, Priority, Work


class Task:
    """Base of everything that the scheduler queues.

    `wait_kind` names the histogram of its waits; empty: it keeps account itself.
    """

    tenant_id = 0
    is_elastic = False
    wait_kind = ""
    priority: int = Priority.NORMAL  # when it comes back
    txn_start = 0
    since_s = 0.0
    work: Work | None = None  # while it is queued
    queue: FairQueue | None = None  # where

    def is_blocked(self) -> bool:
        """Tell whether it cannot go on now; `Scheduler.unblock` asks again."""
        return False

    def run(self, ends_s: float) -> bool:
        """Go on until about `ends_s`; tell whether it is over, which includes: cancelled."""
        raise NotImplementedError
