"""Splitting, dispatch, and the grammar's precedence and errors."""

import pytest

from pgwire.errors import FeatureNotSupported, SqlError, StatementTooComplex
from sqlnode.parse import syntax as s
from sqlnode.parse.statement import parse, split


def expression(text):
    return parse(f"select {text}").tree.body.targets[0].expr


def shape(node):
    """Print an operator tree with all its parentheses."""
    match node:
        case s.Operation(left=None):
            return f"({node.symbol}{shape(node.right)})"
        case s.Operation():
            return f"({shape(node.left)} {node.symbol} {shape(node.right)})"
        case s.Logical(kind="not"):
            return f"(not {shape(node.args[0])})"
        case s.Logical():
            return "(" + f" {node.kind} ".join(map(shape, node.args)) + ")"
        case s.CastTo():
            return f"{shape(node.arg)}::{node.type.names[-1]}"
        case s.Test():
            return f"({shape(node.arg)} is {node.kind})"
        case s.Between():
            return f"({shape(node.arg)} between {shape(node.low)} and {shape(node.high)})"
        case s.Like():
            return f"({shape(node.arg)} like {shape(node.pattern)})"
        case s.ColumnName():
            return ".".join(node.parts)
        case s.Literal():
            return str(node.value)
        case s.FunctionCall():
            return f"{node.name[-1]}({', '.join(map(shape, node.args))})"
        case _:
            return type(node).__name__


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("2 ^ 3 ^ 4", "((2 ^ 3) ^ 4)"),
        ("-2 ^ 2", "(-2 ^ 2)"),
        ("-a ^ 2", "((-a) ^ 2)"),
        ("-a::text", "(-a::text)"),
        ("1 | 2 + 3", "(1 | (2 + 3))"),
        ("a -> 'b' || 'c'", "((a -> b) || c)"),
        ("a || b = c", "((a || b) = c)"),
        ("not a = b", "(not (a = b))"),
        ("not a and b or c", "(((not a) and b) or c)"),
        ("a = b is null", "((a = b) is null)"),
        ("a < b and c between 1 and 2 and d", "((a < b) and (c between 1 and 2) and d)"),
        ("a like b || c", "(a like (b || c))"),
        ("a at time zone 'x' + b", "(timezone(x, a) + b)"),
        ("@ -5", "(@-5)"),
        ("a operator(pg_catalog.+) b * c", "(a + (b * c))"),
    ],
)
def test_precedence(text, tree):
    """A right-looking query would give a wrong answer."""
    assert shape(expression(text)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "((select 1))",
        "(select 1) union (select 2) order by 1",
        "select ((select 1) union select 2)",
        "select ((select 1) + 1)",
        "select * from ((select 1 x) a join (select 2 y) b on true)",
        "select * from ((select 1) union (select 2)) z",
        "select time, interval, value, name from t",
        'select x as select, 1 as "from"',
        "select a from t fetch first row only",
        "select array[[1,2],[3,4]][1][2], (a).b, a[1:2]",
        "select count(*) filter (where a) over w from t window w as (order by b rows 3 preceding)",
        "table t",
        "values (1, default)",
        "select",
    ],
)
def test_accepts(text):
    """A valid statement would be refused."""
    assert parse(text).is_planned


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("selec 1", 'syntax error at or near "selec"', 1),
        ("select 1 a b", 'syntax error at or near "b"', 12),
        ("select a from t where", "syntax error at end of input", 22),
        ("select 1 < 2 < 3", 'syntax error at or near "<"', 14),
        ("select (1", "syntax error at end of input", 10),
        ("insert into t", "syntax error at end of input", 14),
        ("update t a = 1", 'syntax error at or near "="', 12),
        ("select 1; select", 'syntax error at or near "select"', 11),
        ("select * from (select 1)", "subquery in FROM must have an alias", 15),
        ("select a from t limit 1, 2", "LIMIT #,# syntax is not supported", 24),
    ],
)
def test_syntax_errors(text, message, position):
    """The client's caret would point at the wrong place, or wrong SQL would run."""
    with pytest.raises(SqlError) as caught:
        parse(text)
    assert (caught.value.sqlstate, caught.value.message) == ("42601", message)
    assert caught.value.position == position


def test_split_keeps_offsets():
    """Error positions count in the whole query string."""
    text = "select 1; -- ;\n select ';' ; select $$;$$ /* ; */ ;;"
    found = split(text)
    assert [s.text for s in found] == ["select 1", "select ';'", "select $$;$$"]
    assert all(text[s.offset :].startswith(s.text) for s in found)
    assert split(" ; -- nothing") == []


@pytest.mark.parametrize(
    "text", ["call f()", "do $$x$$", "merge into t using u on true when matched then delete"]
)
def test_names_what_is_not_supported(text):
    """The client would be told of a syntax error that is none."""
    with pytest.raises(FeatureNotSupported):
        parse(text)


def test_depth_is_bounded():
    """A deeply nested statement would end the process."""
    with pytest.raises(StatementTooComplex):
        parse("select " + "(" * 5000 + "1" + ")" * 5000)


def test_parameters_are_counted():
    """ParameterDescription would be short."""
    assert parse("select $1, $3").param_count == 3
