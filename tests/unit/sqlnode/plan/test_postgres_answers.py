"""What PostgreSQL 15 said of each statement: columns, parameters, or the whole error."""

from pathlib import Path

import pytest

from pgwire.errors import SqlError
from tests.unit.sqlnode.plan.small_catalog import bind

HERE = Path(__file__).parent


def blocks(name):
    """Read (query, answer) pairs."""
    found = []
    for block in (HERE / name).read_text().split("\n\n"):
        query, _, answer = block.strip("\n").partition("\n----\n")
        found.append(pytest.param(query, answer, id=" ".join(query.split())[:80]))
    return found


def described(sql):
    """Describe a statement in the words of the file."""
    try:
        bound = bind(sql)
    except SqlError as error:
        lines = [f"ERROR {error.sqlstate} at {error.position or '-'}: {error.message}"]
        return "\n".join(lines + ([f"HINT {error.hint}"] if error.hint else []))
    lines = [f"{column.name}: {column.type}" for column in bound.bound.columns]
    lines += [f"${n}: {type_}" for n, type_ in enumerate(bound.param_types, 1)]
    return "\n".join(lines) or "(nothing)"


@pytest.mark.parametrize(("query", "answer"), blocks("postgres_answers.txt"))
def test_answers_as_postgresql(query, answer):
    """A driver would see another type, name, error or caret than PostgreSQL shows."""
    assert described(query) == answer


@pytest.mark.parametrize(("query", "answer"), blocks("psql_queries.txt"))
def test_binds_what_psql_asks(query, answer):
    r"""A backslash command of psql 15 or 18 would fail or print other columns."""
    assert described(query) == answer
