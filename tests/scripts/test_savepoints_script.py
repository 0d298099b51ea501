"""Savepoints as a client meets them, told as a transcript of two sessions."""

from pathlib import Path

import psycopg
import pytest

from tests.e2e.stack import Stack
from tests.scripts.runner import run_script


class TwoSessions:
    """Directives: one "SQL" and other "SQL"."""

    def __init__(self, stack):
        self.connections = {name: stack.connect("acme") for name in ("one", "other")}
        self.connections["one"].execute("create table t (id int primary key, v int)")

    def __call__(self, directive):
        # Words with an equals sign look like arguments to the runner.
        sql = "".join([*directive.words, *(f"{k}={v}" for k, v in directive.arguments.items())])
        try:
            cursor = self.connections[directive.name].execute(sql)
        except psycopg.Error as error:
            return f"{directive.name}: ERROR {error.sqlstate} {error.diag.message_primary}"
        if cursor.description is None:
            return f"{directive.name}: {cursor.statusmessage}"
        rows = [", ".join(map(str, row)) for row in cursor.fetchall()]
        return f"{directive.name}: {' | '.join(rows) or 'no rows'}"

    def close(self):
        for connection in self.connections.values():
            connection.close()


@pytest.mark.e2e
def test_savepoints(rewrite):
    """Frameworks nest transactions with them: lost writes, or rows that stay locked."""
    with Stack() as stack:
        stack.create_tenant("acme")
        sessions = TwoSessions(stack)
        run_script(Path(__file__).with_name("savepoints.txt"), sessions, rewrite=rewrite)
        sessions.close()
