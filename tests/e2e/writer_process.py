"""One client in a process of its own: nothing of the test's process can hold it up.

    python -m tests.e2e.writer_process KIND URL SEED ROW_COUNT

It writes until its standard input ends. Each write is a line of JSON on its standard output: when
it began and ended (monotonic clock, one for all processes of a machine) and its error, if any.
Kinds: `table` changes rows of t, `idle` one row now and then, and `clock` writes nothing: it only
wakes up, and so sees the pauses of the machine itself.
"""

import json
import random
import select
import sys
import time

import psycopg

IDLE_S = 0.02
TICK_S = 0.005


class TableWriter:
    """Inserts, updates and deletes rows of t; one row is hot."""

    def __init__(self, url, seed, row_count):
        self.connection = psycopg.connect(url, autocommit=True, connect_timeout=20)
        self.rng, self.row_count = random.Random(seed), row_count
        self.next_id = 10_000_000 * (seed + 1)

    def write(self):
        rng, execute = self.rng, self.connection.execute
        some_id, value = rng.randrange(self.row_count), rng.randrange(1 << 30)
        kind = rng.randrange(6)
        if kind == 0:
            self.next_id += 1
            execute("insert into t values (%s, %s, %s)", (self.next_id, value, "new"))
        elif kind == 1:
            execute("delete from t where id = %s", (some_id,))
        elif kind == 2:
            execute("update t set b = %s where id = %s", (f"b{value}", some_id))
        elif kind == 3:
            execute("update t set a = %s where id = 7", (value,))
        elif kind == 4:
            with self.connection.transaction():
                execute("update t set a = %s where id = %s", (value, some_id))
                self.next_id += 1
                execute("insert into t values (%s, %s, null)", (self.next_id, value))
        else:
            execute("update t set a = %s where id = %s", (value, some_id))


class IdleWriter:
    """Changes one row of a table of its own, with pauses."""

    def __init__(self, url, _seed, _row_count):
        self.connection = psycopg.connect(url, autocommit=True, connect_timeout=20)
        self.connection.execute("create table if not exists control (id int primary key, n int)")
        self.connection.execute("insert into control values (1, 0) on conflict do nothing")

    def write(self):
        self.connection.execute("update control set n = n + 1 where id = 1")


class Clock:
    """Sleeps for a moment, again and again."""

    def __init__(self, _url, _seed, _row_count):
        pass

    def write(self):
        time.sleep(TICK_S)


KINDS = {"table": (TableWriter, 0), "idle": (IdleWriter, IDLE_S), "clock": (Clock, 0)}


def is_over(timeout_s):
    """Whether standard input has ended, after waiting for that for a moment."""
    return bool(select.select([sys.stdin], [], [], timeout_s)[0])


def main(kind, url, seed, row_count):
    """Write until standard input ends."""
    make, pause_s = KINDS[kind]
    client = make(url, int(seed), int(row_count))
    while not is_over(pause_s):
        begun_s, error = time.monotonic(), None
        try:
            client.write()
        except psycopg.Error as caught:
            error = (caught.sqlstate, str(caught))
        sys.stdout.write(json.dumps((begun_s, time.monotonic(), error)) + "\n")
        sys.stdout.flush()
        if error is not None and client.connection.closed:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
