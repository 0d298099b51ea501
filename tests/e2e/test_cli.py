"""The `insula` command against a running stack, and tenants at zero."""

import json

import psycopg
import pytest

from tests.e2e.stack import FakeStack, wait_until

pytestmark = pytest.mark.e2e


def test_tenants_from_the_command_line(fake_stack):
    """An operator could not create, see or remove a tenant."""
    insula = fake_stack.insula
    made = json.loads(
        insula("tenant", "create", "zoo", "--user", "ann", "--password", "x", "-o", "json").stdout
    )
    assert (made["name"], made["users"], made["suspended"]) == ("zoo", ["ann"], False)
    url = insula("url", "zoo", "--user", "ann").stdout.strip()
    port = fake_stack.running.pg_port
    assert url == f"postgresql://ann@127.0.0.1:{port}/defaultdb?options=--tenant%3Dzoo"
    assert insula("url", "zoo").stdout.strip() == url
    assert "zoo" in {t["name"] for t in json.loads(insula("tenant", "list", "-o", "json").stdout)}
    with psycopg.connect(url, password="x") as connection:
        assert connection.execute("select tenant").fetchone() == ("zoo",)
    insula("tenant", "set", "zoo", "--user", "ann", "--password", "y")
    wait_until(lambda: _can_connect(url, "y"), 5, "the new password")
    assert not _can_connect(url, "x")
    dropped = json.loads(insula("tenant", "drop", "zoo", "-o", "json").stdout)
    assert dropped["keys_removed"] >= 1
    assert insula("tenant", "show", "zoo", check=False).returncode == 1


def _can_connect(url, password):
    try:
        psycopg.connect(url, password=password).close()
    except psycopg.OperationalError:
        return False
    return True


def test_where_a_password_comes_from(fake_stack, tmp_path, monkeypatch):
    """A password would have to stand on the command line, where `ps` shows it."""
    file = tmp_path / "p"
    file.write_text("from file\n")
    fake_stack.insula("tenant", "create", "p1", "--user", "u", "--password-file", str(file))
    assert _can_connect(fake_stack.url("p1", user="u", password="from file"), "from file")
    monkeypatch.setenv("INSULA_PASSWORD", "from env")
    fake_stack.insula("tenant", "create", "p2", "--user", "u")
    assert _can_connect(fake_stack.url("p2", user="u", password="from env"), "from env")
    monkeypatch.delenv("INSULA_PASSWORD")
    done = fake_stack.insula("tenant", "create", "p3", "--user", "u", check=False)
    assert done.returncode == 2
    assert "--password-file" in done.stderr


def test_sql_from_options_and_from_a_pipe(fake_stack):
    """`insula sql` would be of no use in scripts."""
    done = fake_stack.insula("sql", "acme", "-e", "select tenant", "-e", "select user")
    assert "acme" in done.stdout
    assert "(1 row)" in done.stdout
    done = fake_stack.insula("sql", "acme", "-o", "json", text="select tenant; -- end\n")
    assert json.loads(done.stdout)["rows"] == [["acme"]]


def test_a_tenant_goes_back_to_zero_and_wakes_up():
    """Idle tenants would cost memory for ever."""
    with FakeStack(environment={"INSULA_POOL__IDLE_S": "0.5"}) as stack:
        stack.create_tenant("acme")
        for _ in range(2):
            with stack.connect("acme") as connection:
                pid = connection.execute("select pid").fetchone()[0]
                assert stack.sql_pids("acme") == [int(pid)]
            wait_until(lambda: not stack.sql_pids("acme"), 10, "no process")
