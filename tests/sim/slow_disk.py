"""A disk that takes its time: for each sync, and for the bytes that are written with it."""

from kvapi.errors import DiskFull
from kvnode.core import Core
from kvnode.txn.group_commit import GaveWay
from kvnode.txn.write_batch import write_batch
from runtime.thread_use import ThreadUse
from tests.sim.sim_node import SimWriter

PATH_BYTES = 16 << 10  # of pages, for each operation beside its rows


class SlowWriter(SimWriter):
    """Tells what it wrote, as the operating system would."""

    sync_s = 0.2
    bytes_per_s = 40 << 20
    written_bytes = 0
    batch_count = 0
    is_full = False

    def run(self, operations, report):
        self.begin(operations)
        if self.is_full:
            self.loop.call_later(self.sync_s, self.refuse, report)
            return
        written = sum(one.size_bytes + PATH_BYTES for one in operations)
        self.loop.call_later(
            self.sync_s + written / self.bytes_per_s, self.end, operations, report, written
        )

    def refuse(self, report):
        self.running = None
        report(DiskFull("no room"))

    def end(self, operations, report, written):
        if not self.is_dead:
            self.running = None
            outcome = write_batch(self.engine, operations, lambda: self.gives_way)
            if not isinstance(outcome, GaveWay):
                self.written_bytes += written
                self.batch_count += 1
            report(outcome, ThreadUse(0.0, written))


class SlowCore(Core):
    """Brings that writer."""

    writer_type = SlowWriter
