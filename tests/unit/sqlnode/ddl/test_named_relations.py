"""sqlnode.ddl.named_relations: whom a statement has to queue up with."""

import pytest

from sqlnode.catalog.descriptors import (
    IndexDesc,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import build_catalog
from sqlnode.ddl.named_relations import named_relations
from sqlnode.statements import read_statements

PUBLIC, OTHER = 2200, 9


def table(number, name, schema=PUBLIC):
    index = IndexDesc(2, 2000 + number, f"{name}_a", ())
    primary = IndexDesc(1, 1000 + number, f"{name}_pkey", (), primary=True)
    return TableDesc(number, schema, name, "owner", (), primary, indexes=(index,))


CATALOG = build_catalog(
    5,
    (
        SchemaDesc(PUBLIC, "public", "owner"),
        SchemaDesc(OTHER, "other", "owner"),
        table(1, "t"),
        table(2, "t", OTHER),
        ViewDesc(3, PUBLIC, "v", "owner", "select 1", ()),
        SequenceDesc(4, PUBLIC, "s", "owner"),
    ),
    (),
)


@pytest.mark.parametrize(
    ("sql", "ids"),
    [
        ("alter table t add column b int", {1}),
        ("alter table other.t drop column b", {2}),
        ("create index on t (a)", {1}),
        ("drop table t, other.t", {1, 2}),
        ("truncate t", {1}),
        ("drop index t_a", {1}),
        ("drop index t", set()),
        ("alter index t_a rename to u", {1}),
        ("alter table t rename to u", {1}),
        ("alter table t rename a to b", {1}),
        ("create or replace view v as select 2", {3}),
        ("drop view v", {3}),
        ("alter sequence s increment 2", {4}),
        ("comment on table t is 'x'", {1}),
        ("create table t2 (t_id int references t)", set()),
        ("drop table missing, nowhere.t, t", {1}),
        ("drop schema other cascade", set()),
        ("alter schema other rename to t", set()),
    ],
)
def test_relations_that_a_statement_changes(sql, ids):
    """Two changes of one table would not meet before their commits, and the longer one lose."""
    (statement,) = read_statements(sql)
    assert named_relations(statement.parsed.tree, CATALOG, ("public",)) == ids
