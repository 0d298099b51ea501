"""Session commands to typed values."""

import pytest

from pgwire.errors import SqlError
from sqlnode.parse import utility as u
from sqlnode.parse.statement import parse
from sqlnode.types import INT4, TEXT


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("set search_path to a, \"B\", 'c'", u.SetVariable("search_path", ("a", "B", "c"))),
        ("set local work_mem = '5MB'", u.SetVariable("work_mem", ("5MB",), True)),
        ("set session a.b = -5", u.SetVariable("a.b", ("-5",))),
        ("set extra_float_digits = 3", u.SetVariable("extra_float_digits", ("3",))),
        ("set timezone to default", u.SetVariable("timezone", None)),
        ("set time zone 'UTC'", u.SetVariable("timezone", ("UTC",))),
        ("set names 'utf8'", u.SetVariable("client_encoding", ("utf8",))),
        ("set role none", u.SetVariable("role", ("none",))),
        ("set session authorization default", u.SetVariable("session_authorization", None)),
        ("reset all", u.ResetVariable(None)),
        ("show transaction isolation level", u.ShowVariable("transaction_isolation")),
        ("begin", u.Begin(u.TransactionModes())),
        (
            "begin isolation level repeatable read, read only not deferrable",
            u.Begin(u.TransactionModes("repeatable read", True, False)),
        ),
        ("start transaction", u.Begin(u.TransactionModes(), is_start=True)),
        ("set transaction read write", u.SetTransaction(u.TransactionModes(None, False))),
        (
            "set session characteristics as transaction isolation level serializable",
            u.SetTransaction(u.TransactionModes("serializable"), for_session=True),
        ),
        ("end work", u.Commit()),
        ("commit and chain", u.Commit(chain=True)),
        ("abort", u.Rollback()),
        ("rollback to savepoint x", u.RollbackToSavepoint("x")),
        ("release savepoint x", u.ReleaseSavepoint("x")),
        ("execute p (1, f(2, 3))", u.Execute("p", ("1", "f(2, 3)"))),
        ("deallocate prepare all", u.Deallocate(None)),
        ("discard temporary", u.Discard("temp")),
        ("fetch backward 5 from c", u.FetchCursor("c", "backward", 5)),
        ("move all in c", u.FetchCursor("c", "forward", None, is_move=True)),
        ("fetch last c", u.FetchCursor("c", "absolute", -1)),
        ("close all", u.CloseCursor(None)),
        ("notify x, 'y'", u.Notify("x", "y")),
        ("unlisten *", u.Unlisten(None)),
        ("vacuum analyze", u.Maintenance("VACUUM", (), ("analyze",))),
        (
            "revoke all privileges on schema s from public cascade",
            u.Grant("REVOKE", ("all",), "schema", (("s",),), ("public",)),
        ),
    ],
)
def test_nodes(text, node):
    """A driver's set-up statement would do something else."""
    assert parse(text).tree == node


def test_prepare_and_explain_hold_planned_trees():
    """PREPARE would lose its statement or types."""
    node = parse("prepare p (int, text) as select $1, $2").tree
    assert node.types == (INT4, TEXT)
    assert parse("select 1").kind == "SELECT"
    explained = parse("explain (analyze, costs off, format json) select 1").tree
    assert explained.options == {"analyze": "on", "costs": "off", "format": "json"}
    assert explained.analyze


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "with (format csv, header true, delimiter ';')",
            {"format": "csv", "header": "on", "delimiter": ";"},
        ),
        (
            "csv header quote as '\"' null ''",
            {"format": "csv", "header": "on", "quote": '"', "null": ""},
        ),
        (
            "(format csv, force_null (a, b), header match)",
            {"format": "csv", "force_null": ("a", "b"), "header": "match"},
        ),
        ("with delimiter '|' null as '-'", {"delimiter": "|", "null": "-"}),
        ("", {}),
    ],
)
def test_copy_options(text, options):
    r"""psql's \copy and pg_dump write both syntaxes."""
    node = parse(f"copy t (a, b) from stdin {text}").tree
    assert node.options == u.CopyOptions(**options)
    assert (node.is_from, node.columns) == (True, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("copy t from '/etc/passwd'", "0A000"),
        ("copy t to program 'x'", "0A000"),
        ("copy t from stdin (format xml)", "22023"),
        ("copy t from stdin (header, header)", "42601"),
        ("copy t from stdin (quote 'x')", "0A000"),
        ("copy t from stdin (format csv, delimiter '\"')", "22023"),
        ("copy t from stdin (nope 1)", "42601"),
        ("set x", "42601"),
        ("begin nonsense", "42601"),
        ("prepare transaction 'x'", "0A000"),
    ],
)
def test_refusals(text, sqlstate):
    """What is not understood must not be ignored."""
    with pytest.raises(SqlError) as caught:
        parse(text)
    assert caught.value.sqlstate == sqlstate
