"""The one thread that writes to the store.

Where it is real-time it stands above SQL processes, for they wait for it, but below those that are
prompt while all that it writes is bulk: what takes it a millisecond then is a quiet tenant's wait
for a CPU. `hurry` ends that for a batch which a commit has come to wait for, and gives the batch up
if it has not come to its sync.

What an operation or the store does wrong is an outcome (`write_batch`). Whatever else ends the
thread would leave every commit without an answer: the process ends with it, and starts again from
what is durable.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

from kvnode.admission.bulk_queue import is_bulk
from kvnode.storage.engine import Engine
from kvnode.txn.group_commit import Operation, Report
from kvnode.txn.write_batch import write_batch
from runtime import os_priority
from runtime.thread_use import ThreadUse, thread_use

_log = logging.getLogger(__name__)
_EXIT_WRITER: Final = 3
_Job = tuple[Sequence[Operation], Report]


class WriterThread:
    """A `Writer` over a thread: the sync blocks it, never the event loop."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        use: Callable[[], ThreadUse] = thread_use,
    ) -> None:
        self._use = use
        self._engine = engine
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = (
            SimpleQueue()
        )  # bound: GroupCommit runs one at a time
        self._thread = threading.Thread(target=self._live, name="store-writer", daemon=True)
        self._thread.start()
        self._is_realtime = os_priority.is_realtime(0)  # the loop's thread, and so the writer
        self._priority = 0
        self._gives_way = False  # the batch under way; set by the loop, read by the thread

    def run(self, operations: Sequence[Operation], report: Report) -> None:
        is_all_bulk = bool(operations) and is_bulk(operations[0])  # batches are of one kind
        self._stand(os_priority.REALTIME_BULK if is_all_bulk else os_priority.REALTIME_WRITER)
        self._gives_way = False
        self._jobs.put((operations, report))

    def hurry(self, *, may_give_up: bool) -> None:
        """Go first again, and give the batch up if that may be: a commit waits for this bulk."""
        self._gives_way |= may_give_up
        self._stand(os_priority.REALTIME_WRITER)

    def _stand(self, priority: int) -> None:
        if self._is_realtime and priority != self._priority:
            self._priority = priority
            assert self._thread.native_id is not None, "it was started"
            try:
                os_priority.set_realtime(self._thread.native_id, priority, inherit=True)
            except OSError as error:  # the right was taken from us: no reason not to write
                self._is_realtime = False
                _log.warning("writer_priority_kept", extra={"reason": str(error)})

    def stop(self) -> None:
        """Finish the running batch, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _live(self) -> None:
        try:
            self._work()
        except BaseException:
            _log.critical("writer_died", exc_info=True)
            logging.shutdown()
            os._exit(_EXIT_WRITER)  # the loop might not come to rest without us

    def _is_giving_way(self) -> bool:
        return self._gives_way

    def _work(self) -> None:
        seen = self._use()
        while (job := self._jobs.get()) is not None:
            operations, report = job
            outcome = write_batch(self._engine, operations, self._is_giving_way)
            before, seen = seen, self._use()
            self._loop.call_soon_threadsafe(report, outcome, seen.since(before))
            if self._engine.make_room():
                seen = self._use()  # nobody's
