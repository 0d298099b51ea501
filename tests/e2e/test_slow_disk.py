"""A real KV node whose disk becomes slow: bulk is held back, and who only reads does not notice."""

import os
import re
import threading
import time
from statistics import quantiles

import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(120)]
DELAY_S = 0.12  # of each sync: more than twice `commit_latency_max_s`
LIMITED_S_MAX = 30.0
ROWS = 2_000


class SlowStack(Stack):
    """A stack on a disk that a test makes slow."""

    def __init__(self, slow_file):
        super().__init__(environment={"INSULA_TEST_SLOW_FILE": str(slow_file)})

    def command(self):
        command = [os.sys.executable, "-P", "-m", "tests.fakes.fake_stack"]
        seam = ["kvnode", "tests.fakes.slow_kvnode"]
        return [*command, str(self.data_dir), str(self.ready_file), *seam]


class Reader:
    """Reads single rows all the time; notes how long each read took."""

    def __init__(self, stack, tenant):
        self._stack, self._tenant = stack, tenant
        self.took_s = []
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_stopping.set()
        self._thread.join(30)

    def _run(self):
        with self._stack.connect(self._tenant) as connection:
            key = 0
            while not self._is_stopping.wait(0.005):
                key = key % 1000 + 1
                start_s = time.monotonic()
                connection.execute("select b from t where a = %s", [key])
                self.took_s.append(time.monotonic() - start_s)

    def take(self):
        """Return median and 99th percentile since the last time, in milliseconds."""
        took_s, self.took_s = self.took_s, []
        assert len(took_s) > 100, "the reader stands still"
        parts = quantiles(took_s, n=100)
        return 1e3 * parts[49], 1e3 * parts[98]


def write_on(stack, stop, number):
    """Commit rows, many at a time, until told to stop."""
    with stack.connect("writer") as connection:
        turn = 0
        while not stop.is_set():
            first = (turn * 4 + number) * ROWS
            series = f"generate_series({first}, {first + ROWS - 1}) g"
            connection.execute(f"insert into w select g, repeat('x', 500) from {series}")
            turn += 1


def io_limit(stack):
    """Return what the node thinks the disk can take, bytes per second."""
    _, text = stack.http("/metrics")
    return float(re.search(r"^insula_kvnode_admission_io_limit_bytes (\S+)$", text, re.M)[1])


def test_a_slow_disk_lowers_the_tokens_and_spares_reads(tmp_path):
    """One tenant's bulk would fill the disk's queue for all, or reads wait behind its syncs."""
    slow_file, stop = tmp_path / "slow", threading.Event()
    with SlowStack(slow_file) as stack:
        for tenant, table in (("reader", "t (a int, b text)"), ("writer", "w (a int, b text)")):
            stack.create_tenant(tenant)
            with stack.connect(tenant) as connection:
                connection.execute(f"create table {table.replace('int', 'int primary key')}")
        with stack.connect("reader") as connection:
            connection.execute("insert into t select g, 'row' from generate_series(1, 1000) g")
        writers = [threading.Thread(target=write_on, args=(stack, stop, n)) for n in range(4)]
        with Reader(stack, "reader") as reader:
            try:
                for writer in writers:
                    writer.start()
                time.sleep(3)  # a busy disk, but a fast one
                reader.take()
                time.sleep(4)
                before = reader.take()
                assert io_limit(stack) == float("inf")
                slow_file.write_text(str(DELAY_S))
                start_s = time.monotonic()
                wait_until(lambda: io_limit(stack) < 1e12, LIMITED_S_MAX, "tokens are lowered")
                lowered_s = time.monotonic() - start_s
                beside = reader.take()
            finally:
                stop.set()
                slow_file.unlink(missing_ok=True)
            for writer in writers:
                writer.join(60)
    figures = ", ".join(
        f"{was:.2f} → {now:.2f} ms" for was, now in zip(before, beside, strict=True)
    )
    print(f"\nlowered after {lowered_s:.1f} s; reads p50, p99: {figures}")
    assert beside[0] <= 1.5 * before[0] + 0.5, figures
    assert beside[1] <= 1.5 * before[1] + 2, figures
    assert beside[1] < 1e3 * DELAY_S / 2, "some reads wait for the disk"
