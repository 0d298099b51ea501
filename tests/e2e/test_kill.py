"""kill -9 of each process under load: the stack comes back, and no acknowledged commit is lost.

Each writer repeats one transaction: two rows with the same number, in two tables. After the kills
both tables hold exactly the same numbers, each once, among them every one whose commit was
acknowledged.
"""

import os
import threading
import time

import psycopg
import pytest

from runtime.os_process import is_running
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
KILLS = int(os.environ.get("INSULA_KILLS", "20"))
WRITERS = 4


class Writer(threading.Thread):
    """Commits pairs until told to stop, reconnecting whenever the connection breaks."""

    def __init__(self, stack, number):
        super().__init__(daemon=True)
        self.stack, self.base = stack, number * 10_000_000
        self.acknowledged = []
        self.unexpected = []
        self.is_stopped = False

    def run(self):
        value = self.base
        while not self.is_stopped:
            try:
                with self.stack.connect("bank", autocommit=False) as connection:
                    while not self.is_stopped:
                        value += 1
                        self.commit_pair(connection, value)
                        self.acknowledged.append(value)
            except psycopg.errors.SerializationFailure:
                pass
            except psycopg.OperationalError:
                time.sleep(0.02)
            except psycopg.Error as error:
                self.unexpected.append(repr(error))

    @staticmethod
    def commit_pair(connection, value):
        connection.execute("insert into lefts values (%s)", (value,))
        connection.execute("insert into rights values (%s)", (value,))
        connection.commit()


@pytest.fixture(scope="module")
def bank():
    """A stack with the two tables."""
    with Stack() as stack:
        stack.create_tenant("bank")
        with stack.connect("bank") as connection:
            connection.execute("create table lefts (n bigint primary key)")
            connection.execute("create table rights (n bigint)")  # no key: would show doubles
        yield stack


def _victim(stack, kind):
    def find():
        if kind == "sql":
            pids = stack.sql_pids("bank")
        elif kind == "zygote":
            pids = [p["pid"] for p in stack.processes() if p.get("state") == "connected"]
        else:
            pids = [stack.pid(kind)]
        return next((pid for pid in pids if is_running(pid)), None)

    return wait_until(find, 20, f"a {kind} to kill")


def _wait_commits(writers):
    def count():
        return sum(len(writer.acknowledged) for writer in writers)

    before = count()
    wait_until(lambda: count() > before + 5, 30, "commits go on")


@pytest.mark.timeout(300 + 10 * KILLS)
@pytest.mark.parametrize("kind", ["sql", "zygote", "gateway", "kvnode"])
def test_nothing_acknowledged_is_lost(bank, kind):
    """A crash would lose or halve what a client was told is done."""
    bank.expect_log("assign_failed", "assign_refused", "session_failed")
    writers = [Writer(bank, time.monotonic_ns() % 10_000 + number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(KILLS):
        _wait_commits(writers)
        wait_until(bank.is_ready, 30, "the stack is ready")
        bank.kill(_victim(bank, kind))
    _wait_commits(writers)
    for writer in writers:
        writer.is_stopped = True
    for writer in writers:
        writer.join(30)
        assert not writer.unexpected
    with bank.connect("bank") as connection:
        lefts = {row[0] for row in connection.execute("select n from lefts")}
        rights = [row[0] for row in connection.execute("select n from rights")]
    acknowledged = sum(len(writer.acknowledged) for writer in writers)
    print(f"{KILLS} kills of {kind}: {acknowledged} acknowledged, {len(rights)} in the table")
    assert len(rights) == len(set(rights))
    assert lefts == set(rights)
    assert lefts >= {value for writer in writers for value in writer.acknowledged}
