"""sqlglot as a second reader of what our grammar accepts."""

import logging

import pytest
import sqlglot

from tests.unit.sqlnode.plan.test_postgres_answers import blocks

# What PostgreSQL 15 takes and sqlglot 30.30 does not.
UNREADABLE = ("4 as select", "WITH RECURSIVE typeinfo_tree")


@pytest.mark.parametrize(("query", "answer"), blocks("postgres_answers.txt"))
def test_sqlglot_reads_it_too(query, answer):
    """Our grammar would be more lenient than PostgreSQL's."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    if answer.startswith("ERROR 42601") or any(part in query for part in UNREADABLE):
        pytest.skip("PostgreSQL refuses it, or sqlglot cannot read it")
    assert sqlglot.parse_one(query.replace("$", " $"), dialect="postgres") is not None
