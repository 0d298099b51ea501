"""sqlnode.plan.bind: which relations a statement uses."""

import pytest

from tests.unit.sqlnode.plan.small_catalog import CATALOG, bind

IDS = {relation.name: relation.id for relation in CATALOG.relations.values()}


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select 1", ""),
        ("select count(*) from pg_class", ""),
        ("select * from t, t as again", "t"),
        ("select * from seen", "seen t"),
        ("select 1 from t where false", "t"),
        ("with seen as (select 1) select * from seen", ""),
        ("select exists (select 1 from seen)", "seen t"),
        ("insert into t (a) values (1) returning (select max(key) from seen)", "t seen"),
        ("insert into t (a) values (1)", "t"),
        ("update t set a = (select min(key) from seen)", "t seen"),
        ("delete from t", "t"),
    ],
)
def test_everything_is_named_that_a_change_of_could_change_the_answer(sql, names):
    """A transaction would go on where what it uses has changed, or fail where it has not."""
    assert bind(sql).relations == {IDS[name] for name in names.split()}
