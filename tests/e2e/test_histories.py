"""Real clients on hot rows while processes are killed: their histories have no forbidden anomaly.

`INSULA_HISTORY_S` is how long SERIALIZABLE runs in all (`make proof`: ten minutes).
"""

import os
import time

import pytest

from tests.e2e.history_run import HistoryRun
from tests.e2e.stack import Stack
from tests.history.model import Level, describe

SECONDS = float(os.environ.get("INSULA_HISTORY_S", "10"))
SEED = int(os.environ.get("INSULA_HISTORY_SEED", time.time_ns() % 1_000_000))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120 + 3 * SECONDS),
    # psycopg lets go of a connection whose server dies while `connect` is still setting it up.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEVERAL = {"INSULA_POOL__SESSIONS_PER_PROCESS": "4", "INSULA_POOL__PROCESSES_PER_TENANT_MAX": "8"}
KILL_LOGS = ("assign_failed", "assign_refused", "session_failed")


class UnvalidatedStack(Stack):
    """The same with a KV node that validates nothing."""

    def command(self):
        command = [os.sys.executable, "-P", "-m", "tests.fakes.fake_stack"]
        seam = ["kvnode", "tests.fakes.broken_kvnode"]
        return [*command, str(self.data_dir), str(self.ready_file), *seam]


@pytest.fixture(scope="module")
def one_process():
    """A stack in which a tenant's sessions share one SQL process."""
    with Stack() as stack:
        stack.expect_log(*KILL_LOGS)
        yield stack


@pytest.fixture(scope="module")
def several_processes():
    """A stack in which sixteen sessions have four SQL processes."""
    with Stack(environment=SEVERAL) as stack:
        stack.expect_log(*KILL_LOGS)
        yield stack


async def run(stack, tenant, level, seconds, *, kills=("sql", "kvnode")):
    stack.create_tenant(tenant)
    history = HistoryRun(stack, tenant, level, seed=SEED, kills=kills)
    await history.run(seconds)
    print(f"seed {SEED}, {seconds:.0f} s, {history.summary()}")
    return history


async def check(stack, tenant, level, seconds):
    history = await run(stack, tenant, level, seconds)
    anomalies = history.anomalies()
    assert not anomalies, f"seed {SEED}\n{describe(anomalies, history.txns)}"
    assert history.killed, "nothing was killed"


async def test_serializable_in_one_process(one_process):
    """Strict serializability is the product's first promise."""
    await check(one_process, "one", Level.SERIALIZABLE, SECONDS / 2)


async def test_serializable_in_several_processes(several_processes):
    """Stateless SQL processes agree because the KV node decides, or not at all."""
    await check(several_processes, "ser", Level.SERIALIZABLE, SECONDS / 2)


async def test_repeatable_read(several_processes):
    """Write skew may show, and nothing worse."""
    await check(several_processes, "rr", Level.REPEATABLE_READ, max(SECONDS / 10, 3))


async def test_read_committed(several_processes):
    """What was rolled back is never seen, nor half a transaction's writes to a row."""
    await check(several_processes, "rc", Level.READ_COMMITTED, max(SECONDS / 10, 3))


async def test_without_validation_the_checker_finds_anomalies():
    """A checker that finds nothing here would find nothing anywhere."""
    with UnvalidatedStack(environment=SEVERAL) as stack:
        history = await run(stack, "broken", Level.SERIALIZABLE, 3, kills=())
        kinds = {anomaly.kind for anomaly in history.anomalies()}
        print(f"found {kinds}")
        assert kinds & {"G-single", "G2-item", "G2", "G2 (read-only anomaly)"}, kinds
        assert kinds & {"phantom", "write skew", "lost update"}, kinds
