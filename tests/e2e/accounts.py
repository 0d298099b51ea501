"""A table of accounts for tests of sessions."""

import contextlib

import psycopg
import pytest


@contextlib.contextmanager
def accounts(stack):
    """Open a connection with a table of two accounts."""
    with stack.connect("acme") as opened:
        opened.execute("drop table if exists account, child cascade")
        opened.execute("create table account (id int primary key, balance int not null, note text)")
        opened.execute("insert into account values (1, 100, 'a'), (2, 200, 'b')")
        yield opened


def sqlstate_of(connection, sql, parameters=None):
    """Run SQL that must fail; return its SQLSTATE."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, parameters)
    return caught.value.sqlstate
