"""pgbench as everybody runs it: no transaction fails, and the books balance afterwards."""

import re
import subprocess

import pytest

pytestmark = pytest.mark.e2e
SECONDS = 3
RUN_S_MAX = 90


@pytest.fixture(scope="module")
def bank(stack, pgbench):
    """A function that runs pgbench against a tenant loaded at scale 2."""

    def run(*words):
        done = subprocess.run(
            [pgbench, *words, stack.url("acme")],
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-i", "-s", "2", "-q")
    return run


def _check(report):
    """Check a report of pgbench; return its transactions per second."""
    assert re.search(r"^number of failed transactions: 0 ", report, re.M), report
    assert int(re.search(r"actually processed: (\d+)", report)[1]) > 0
    tps = float(re.search(r"^tps = ([\d.]+)", report, re.M)[1])
    print(f"{tps:.0f} transactions/s")
    return tps


def _sums(stack):
    with stack.connect("acme") as connection:
        return [
            connection.execute(f"select sum({column}) from {table}").fetchone()[0]
            for table, column in (
                ("pgbench_accounts", "abalance"),
                ("pgbench_branches", "bbalance"),
                ("pgbench_tellers", "tbalance"),
                ("pgbench_history", "delta"),
            )
        ]


def test_the_load_is_whole(stack, bank):
    """A bulk load would lose or double rows."""
    with stack.connect("acme") as connection:
        for table, count in (("accounts", 200_000), ("branches", 2), ("tellers", 20)):
            got = connection.execute(f"select count(*) from pgbench_{table}").fetchone()
            assert got == (count,)
        with pytest.raises(Exception, match="pgbench_accounts_pkey"):
            connection.execute("insert into pgbench_accounts values (200000, 1, 0, '')")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_point_reads(bank, mode):
    """Reads by key would fail or mix up sessions in one of the protocols."""
    _check(bank("-n", "-S", "-c", "4", "-T", str(SECONDS), "-M", mode))


# Without -n pgbench empties the history first, so each run of TPC-B starts from balances of zero.
@pytest.mark.parametrize(
    ("mode", "clients"), [("simple", 4), ("extended", 4), ("prepared", 4), ("prepared", 32)]
)
def test_the_books_balance(stack, bank, mode, clients):
    """Money would appear or vanish: an update lost, doubled or seen by half."""
    with stack.connect("acme") as connection:
        connection.execute("update pgbench_accounts set abalance = 0 where abalance <> 0")
        connection.execute("update pgbench_branches set bbalance = 0")
        connection.execute("update pgbench_tellers set tbalance = 0")
    report = bank("-c", str(clients), "-T", str(SECONDS), "-M", mode)
    _check(report)
    done = int(re.search(r"actually processed: (\d+)", report)[1])
    accounts, branches, tellers, history = _sums(stack)
    assert accounts == branches == tellers == history
    with stack.connect("acme") as connection:
        assert connection.execute("select count(*) from pgbench_history").fetchone() == (done,)
