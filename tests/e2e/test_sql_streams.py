"""Rows that come and go in pieces: COPY, cursors and large results, through real drivers."""

import psycopg
import pytest
from psycopg import errors

from tests.e2e.accounts import accounts

pytestmark = pytest.mark.e2e


@pytest.fixture
def connection(stack):
    """A connection with a table of two accounts."""
    with accounts(stack) as opened:
        yield opened


def test_server_side_cursor_reads_in_pieces(connection):
    """A large result can be read without holding it."""
    connection.execute("insert into account select g, g from generate_series(10, 3000) g")
    with connection.transaction(), connection.cursor(name="c") as cursor:
        cursor.itersize = 100
        cursor.execute("select id from account order by id")
        assert len(cursor.fetchall()) == 2993


def test_copy_in_and_out_round_trip(connection):
    """Backups and bulk loads go this way."""
    rows = [(n, n * 2, f"line\t{n}\n") for n in range(10, 1010)]
    with connection.cursor() as cursor:
        with cursor.copy("copy account from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        assert cursor.rowcount == 1000
        with cursor.copy(
            "copy (select * from account where id >= 10 order by id) to stdout"
        ) as out:
            out.set_types(["int4", "int4", "text"])
            assert list(out.rows()) == rows


def test_copy_names_the_line_and_column_of_an_error(connection):
    """Without it nobody finds the bad line among a million."""

    def run():
        with connection.cursor().copy("copy account from stdin csv") as copy:
            copy.write("5,1,x\nabc,2,y\n")

    with pytest.raises(errors.InvalidTextRepresentation) as caught:
        run()
    assert caught.value.diag.context == 'COPY account, line 2, column id: "abc"'
    assert connection.execute("select count(*) from account").fetchone() == (2,)


def test_a_copy_that_the_client_gives_up_loads_nothing(connection):
    """CopyFail must undo."""

    def run():
        with connection.cursor().copy("copy account from stdin") as copy:
            copy.write("7\t7\tx\n")
            raise RuntimeError("given up")

    with pytest.raises(RuntimeError):
        run()
    assert connection.execute("select count(*) from account").fetchone() == (2,)


def test_copy_by_the_extended_protocol(connection):
    """libpq sends Sync twice then; the first one must not count."""
    low = connection.pgconn
    assert low.exec_params(b"copy account from stdin", []).status == 4
    low.put_copy_data(b"8\t8\tx\n")
    low.put_copy_end()
    tags = []
    while (result := low.get_result()) is not None:
        tags.append(result.command_tuples)
    assert tags == [1]
    assert connection.execute("select count(*) from account").fetchone() == (3,)


def test_a_large_result_streams(connection):
    """A result larger than any buffer."""
    query = "select g, repeat('x', 100) from generate_series(1, 100000) g"
    with connection.cursor() as cursor:
        assert sum(1 for _ in cursor.stream(query)) == 100_000


def test_cursors_outlive_a_savepoint_that_is_gone_back_to(connection):
    """A program that reads rows and tries each in a savepoint would lose its cursor at an error."""
    connection.execute("begin")
    connection.execute("declare old cursor for select g from generate_series(1, 5) g order by g")
    assert connection.execute("fetch 1 from old").fetchall() == [(1,)]
    connection.execute("savepoint s")
    connection.execute("declare young cursor for select 1")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    connection.execute("rollback to s")
    assert connection.execute("fetch 2 from old").fetchall() == [(2,), (3,)]
    with pytest.raises(psycopg.errors.InvalidCursorName):
        connection.execute("fetch young")
    connection.execute("rollback")


def test_a_cursor_sees_what_was_there_when_it_was_declared(connection):
    """A program that deletes what its cursor is going to read would skip rows."""
    connection.execute("begin")
    connection.execute("create table declared (id int primary key)")
    connection.execute("insert into declared values (1), (2), (3)")
    connection.execute("declare rows cursor for select id from declared order by id")
    connection.execute("delete from declared where id = 2")
    assert connection.execute("fetch all from rows").fetchall() == [(1,), (2,), (3,)]
    connection.execute("rollback")
