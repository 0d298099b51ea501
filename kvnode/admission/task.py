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
    is_aside = False  # it waits for something else than its turn

    def is_blocked(self) -> bool:
        """Tell whether it cannot go on now. Asked when it has its turn; then it is to `wait`."""
        return False

    def set_aside(self) -> None:
        """Wait elsewhere, and be counted where it was queued. Requires: it `is_blocked`."""
        assert self.queue is not None, "it was queued"
        self.is_aside = True
        self.queue.set_aside(self.tenant_id)
        self.wait()

    def take_back(self) -> None:
        """Count it no more, if it is set aside."""
        if self.is_aside and self.queue is not None:
            self.is_aside = False
            self.queue.take_back(self.tenant_id)

    def wait(self) -> None:
        """Wait for what it lacks; whoever has that calls `Scheduler.wake`."""
        raise NotImplementedError

    def run(self, ends_s: float) -> bool:
        """Go on until about `ends_s`; tell whether it is over, which includes: cancelled."""
        raise NotImplementedError
