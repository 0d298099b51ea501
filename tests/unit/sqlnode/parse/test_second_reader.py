"""sqlglot as a second reader of what our grammar accepts."""

import logging

import pytest
import sqlglot

from tests.unit.sqlnode.plan.test_postgres_answers import blocks

# What PostgreSQL 15 takes and sqlglot 30.30 does not.
UNREADABLE = ("4 as select", "WITH RECURSIVE typeinfo_tree")

ACCEPTED = [
    query
    for query, answer in (param.values for param in blocks("postgres_answers.txt"))
    if not answer.startswith("ERROR 42601") and not any(part in query for part in UNREADABLE)
]


@pytest.mark.parametrize("query", ACCEPTED)
def test_sqlglot_reads_it_too(query):
    """Our grammar would be more lenient than PostgreSQL's."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    assert sqlglot.parse_one(query.replace("$", " $"), dialect="postgres") is not None
