"""The command line without a stack: splitting, results, exit codes, records."""

import json
import os
import re
import subprocess
import sys

import pytest

from cli.connection_url import choose_user, connection_url
from cli.demo_data import TABLES, data_dir
from cli.errors import CommandFailed
from cli.main import main
from cli.running_stack import (
    RunningStack,
    announced_demo,
    find_stack,
    resolve_data_dir,
    try_find_stack,
)
from cli.sql_shell import ResultSet, format_result, to_json
from cli.statement_splitter import is_blank, split_statements
from cli.supervisor import MODULES

STACK = RunningStack(None, 1, "127.0.0.1:6432", "", "", "")


@pytest.mark.parametrize(
    ("text", "statements", "rest"),
    [
        ("select 1", [], "select 1"),
        (";;select 1;;", ["select 1"], ""),
        ("select ';'';' ; x", ["select ';'';' "], " x"),
        (r"select E'\';' ; x", [r"select E'\';' "], " x"),
        ('select ";" ; x', ['select ";" '], " x"),
        ("select $a$;$$;$a$; x", ["select $a$;$$;$a$"], " x"),
        ("select $1;x", ["select $1"], "x"),
        ("select 1 -- ;\n; x", ["select 1 -- ;\n"], " x"),
        ("/* ; /* ; */ ; */ select 1; x", ["/* ; /* ; */ ; */ select 1"], " x"),
        ("select 'open; x", [], "select 'open; x"),
        ("/* open; x", [], "/* open; x"),
    ],
)
def test_where_statements_end(text, statements, rest):
    """A statement would be cut in two inside a string."""
    assert split_statements(text) == (statements, rest)


def test_blank_text():
    """A comment at the end of a file would be sent as an empty statement."""
    assert is_blank(" -- x\n /* y /* z */ */ \n")
    assert not is_blank(" -- x\n 1")


RESULT = ResultSet(
    ("n", "name", "ok"), (23, 25, 16), (("1", "a", "t"), ("22", None, "f")), "SELECT 2"
)


def test_results_look_like_psql():
    """Scripts that read psql's output would not read ours."""
    assert format_result(RESULT).splitlines() == [
        " n  | name | ok ",
        "----+------+----",
        "  1 | a    | t",
        " 22 |      | f",
        "(2 rows)",
    ]
    assert format_result(ResultSet((), (), (), "CREATE TABLE")) == "CREATE TABLE"


def test_results_as_json():
    """Programs would get numbers as text."""
    assert to_json(RESULT) == {
        "columns": ["n", "name", "ok"],
        "rows": [[1, "a", True], [22, None, False]],
        "status": "SELECT 2",
    }


def test_urls():
    """The URL that the documentation shows would not be the one printed."""
    url = connection_url(STACK, "acme", user="app")
    assert url == "postgresql://app@127.0.0.1:6432/defaultdb?options=--tenant%3Dacme"
    strange = connection_url(STACK, "a b", user="x@y", password="p:/")
    assert strange.startswith("postgresql://x%40y:p%3A%2F@127.0.0.1:6432/")
    anywhere = RunningStack(None, 1, "0.0.0.0:1", "", "", "")
    assert "@127.0.0.1:1/" in connection_url(anywhere, "a", user="b")


def test_the_user_may_be_left_out_if_there_is_one():
    """`insula url` would guess among users."""
    assert choose_user({"name": "acme", "users": ["app"]}, None) == "app"
    with pytest.raises(CommandFailed, match="has 2 users"):
        choose_user({"name": "acme", "users": ["a", "b"]}, None)


def test_a_record_of_a_dead_stack_is_not_believed(tmp_path):
    """Commands would talk to a port that belongs to somebody else now."""
    record = {"pid": os.getpid(), "pg": "h:1", "http": "h:2", "kv": "h:3", "admin": "h:4"}
    path = tmp_path / "insula.json"
    path.write_text(json.dumps(record))
    assert try_find_stack(tmp_path).pg_port == 1
    path.write_text(json.dumps({**record, "pid": 2**22 + 1}))
    assert try_find_stack(tmp_path) is None
    path.write_text("{")
    assert try_find_stack(tmp_path) is None


def test_where_the_data_is(monkeypatch, tmp_path):
    """A command would find the wrong stack."""
    monkeypatch.setenv("INSULA_DATA_DIR", str(tmp_path / "env"))
    assert resolve_data_dir(tmp_path / "given") == tmp_path / "given"
    assert resolve_data_dir(None) == tmp_path / "env"
    monkeypatch.delenv("INSULA_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert resolve_data_dir(None) == tmp_path / "insula"


def test_a_running_demo_is_found(monkeypatch, tmp_path):
    """After `make demo`, `insula url acme` would say that no stack is running."""
    demo, named = tmp_path / "demo", tmp_path / "named"
    demo.mkdir()
    record = {"pid": os.getpid(), "pg": "h:1", "http": "h:2", "kv": "h:3", "admin": "h:4"}
    (demo / "insula.json").write_text(json.dumps(record))
    monkeypatch.delenv("INSULA_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with announced_demo(demo):
        assert find_stack(None).data_dir == demo
        with pytest.raises(CommandFailed, match=str(named)):
            find_stack(named)
    with pytest.raises(CommandFailed):
        find_stack(None)


def test_demo_tables_match_their_files():
    """The demo would end with an error instead of data."""
    for table in TABLES:
        if table.file.endswith(".zip"):
            continue
        with (data_dir() / table.file).open() as file:
            header = file.readline().strip().split(",")
            assert sum(1 for _ in file) == table.row_count
        inner = table.definition.partition("(")[2]
        columns = [re.split(r"\s+", part.strip())[0] for part in inner.split(",")]
        assert columns[: len(header)] == header


def test_no_stack_is_exit_code_three(tmp_path, monkeypatch, capsys):
    """A script could not tell 'not ready' from 'failed'."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["insula", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().err

    code, said = run("tenant", "list", "--data-dir", str(tmp_path))
    assert code == 3
    assert "no stack is running" in said
    assert run("tenant", "--data-dir")[0] == 2


def test_help_imports_nothing_heavy():
    """`insula --help` would take a second."""
    code = "import sys, cli.main; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("grpc", "psycopg", "pyarrow", "duckdb", "pandas", "numpy", "sqlglot"):
        assert f"'{name}'" not in done.stdout, name


def test_the_supervisor_runs_the_real_programs():
    """Tests would prove something about fakes."""
    assert MODULES == {
        "kvnode": "kvnode.main",
        "zygote": "sqlnode.zygote",
        "gateway": "gateway.main",
    }
