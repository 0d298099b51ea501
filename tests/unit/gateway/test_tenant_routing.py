"""gateway.tenant_routing: which tenant a client means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tenant_routing import resolve_route
from pgwire.sql_error import SqlError


@pytest.mark.parametrize(
    ("start_up", "expected"),
    [
        ({"user": "app", "options": "--tenant=acme"}, ("acme", "app", "defaultdb")),
        ({"user": "app", "options": "-ccluster=acme"}, ("acme", "app", "defaultdb")),
        ({"user": "app", "options": "endpoint=acme", "database": "x"}, ("acme", "app", "x")),
        ({"user": "app", "database": "acme.x"}, ("acme", "app", "x")),
        ({"user": "acme.app"}, ("acme", "app", "defaultdb")),
        ({"user": "acme.app", "database": "acme.app"}, ("acme", "app", "defaultdb")),
        ({"user": "acme.app", "database": "acme.x"}, ("acme", "app", "x")),
        ({"user": "acme.app", "database": "x", "options": "--tenant=acme"}, ("acme", "app", "x")),
        ({"user": "app", "database": "x"}, ("fallback", "app", "x")),
        ({"user": ".app", "database": "x."}, ("fallback", ".app", "x.")),
    ],
)
def test_places(start_up, expected):
    """A connection string that worked elsewhere would not work here."""
    route = resolve_route(start_up, default_tenant="fallback")
    assert (route.tenant, route.user, route.database) == expected


def test_what_is_left_of_options_becomes_parameters():
    """PGOPTIONS='-c statement_timeout=5s' would be ignored."""
    route = resolve_route(
        {
            "user": "app",
            "application_name": "psql",
            "options": "--tenant=acme -c statement_timeout=5s --search-path=a",
        }
    )
    assert route.parameters == {
        "application_name": "psql",
        "statement_timeout": "5s",
        "search_path": "a",
    }


@pytest.mark.parametrize(
    ("start_up", "code"),
    [
        ({"user": "acme.app", "database": "globex.x"}, "08004"),
        ({"user": "app", "database": "acme.x", "options": "--tenant=globex"}, "08004"),
        ({"user": "app", "database": "x"}, "08004"),
        ({"database": "acme.x"}, "08P01"),
        ({"user": "app", "options": "-d 5"}, "42601"),
        ({"user": "acme.app", "replication": "database"}, "0A000"),
        ({"user": "app", "options": "-c"}, "42601"),
        ({"user": "app", "options": "--tenant"}, "42601"),
    ],
)
def test_refusals(start_up, code):
    """A client would land at a tenant it did not mean, or not know why it was refused."""
    with pytest.raises(SqlError) as caught:
        resolve_route(start_up)
    assert caught.value.sqlstate == code
    assert caught.value.is_fatal
    if code == "08004":
        assert "--tenant=NAME" in caught.value.hint


@given(st.dictionaries(st.sampled_from(["user", "database", "options", "x"]), st.text()))
def test_any_text_gives_a_route_or_an_sql_error(start_up):
    """A strange start-up packet would crash its task."""
    try:
        route = resolve_route(start_up)
    except SqlError:
        return
    assert route.tenant
    assert route.user
    assert route.database
