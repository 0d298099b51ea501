"""SET, SHOW and RESET against PostgreSQL 15's answers."""

import pytest

from pgwire.errors import SqlError
from sqlnode.session.parameter_table import PARAMETERS
from sqlnode.session.parameter_values import canonical, parse_bool, shown, split_identifiers
from sqlnode.session.parameters import Parameters


def make(**startup):
    return Parameters({"session_authorization": "app"}, startup)


@pytest.mark.parametrize(
    ("name", "written", "kept", "printed"),
    [
        ("statement_timeout", "90000", "90000", "90s"),
        ("statement_timeout", "1.5min", "90000", "90s"),
        ("statement_timeout", "1500", "1500", "1500ms"),
        ("statement_timeout", "0", "0", "0"),
        ("work_mem", "65MB", "66560", "65MB"),
        ("work_mem", "1GB", "1048576", "1GB"),
        ("shared_buffers", "128MB", "16384", "128MB"),
        ("jit", "TRUE", "on", "on"),
        ("jit", "n", "off", "off"),
        ("synchronous_commit", "false", "off", "off"),
        ("client_min_messages", "WARNING", "warning", "warning"),
        ("DateStyle", "iso, dmy", "ISO, DMY", "ISO, DMY"),
        ("DateStyle", "european", "ISO, DMY", "ISO, DMY"),
        ("TimeZone", "europe/berlin", "Europe/Berlin", "Europe/Berlin"),
        ("client_encoding", "'utf-8'", "UTF8", "UTF8"),
        ("client_encoding", "UNICODE", "UTF8", "UTF8"),
        ("random_page_cost", "1.10", "1.1", "1.1"),
    ],
)
def test_values(name, written, kept, printed):
    """Drivers compare what SHOW prints."""
    parameter = PARAMETERS[name.lower()]
    value = canonical(parameter, written)
    assert (value, shown(parameter, value)) == (kept, printed)


@pytest.mark.parametrize(
    ("name", "value", "sqlstate"),
    [
        ("nonsense", "1", "42704"),
        ("server_version", "16", "55P02"),
        ("max_connections", "5", "55P02"),
        ("work_mem", "1", "22023"),
        ("work_mem", "5 parsecs", "22023"),
        ("jit", "perhaps", "22023"),
        ("client_min_messages", "loud", "22023"),
        ("client_encoding", "latin1", "22023"),
        ("DateStyle", "german", "0A000"),
        ("IntervalStyle", "iso_8601", "0A000"),
        ("standard_conforming_strings", "off", "0A000"),
        ("TimeZone", "Mars/Base", "22023"),
        ("a.b-c", "x", "42602"),
    ],
)
def test_refused_values(name, value, sqlstate):
    """Each wrong SET has PostgreSQL's SQLSTATE, and changes nothing."""
    parameters = make()
    before = dict(parameters.variables)
    with pytest.raises(SqlError) as caught:
        parameters.set(name, value)
    assert caught.value.sqlstate == sqlstate
    assert parameters.variables == before


def test_local_values_end_with_the_transaction():
    """SET LOCAL must not leak into the next transaction of a pooled connection."""
    parameters = make()
    parameters.set("work_mem", "8MB")
    parameters.set("work_mem", "1MB", is_local=True)
    assert parameters.show("work_mem") == "1MB"
    parameters.end_transaction()
    assert parameters.show("work_mem") == "8MB"


def test_rollback_takes_session_values_back():
    """A SET inside a transaction that fails never happened."""
    parameters = make()
    mark = parameters.mark()
    parameters.set("search_path", "a, b")
    parameters.set("my.own", "x")
    parameters.undo_to(mark)
    assert parameters.show("search_path") == '"$user", public'
    with pytest.raises(SqlError, match="unrecognized"):
        parameters.show("my.own")


def test_start_up_values_are_what_reset_goes_back_to():
    """PGOPTIONS and connection parameters are a session's defaults."""
    parameters = make(application_name="psql", statement_timeout="5s")
    parameters.set("statement_timeout", "1s")
    parameters.reset("statement_timeout")
    assert parameters.show("statement_timeout") == "5s"
    parameters.set("application_name", "x")
    parameters.reset_all()
    assert parameters.show("application_name") == "psql"


def test_reported_parameters_are_all_there():
    """Drivers refuse a server that does not report these."""
    reported = make().reported()
    assert reported["server_version"] == "15.0"
    assert reported["integer_datetimes"] == "on"
    assert reported["TimeZone"] == "UTC"
    assert len(reported) == 13


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"$user", public', ("$user", "public")),
        ("A,b", ("a", "b")),
        ('"A b","c""d"', ("A b", 'c"d')),
        ("", ()),
        ('""', ()),
    ],
)
def test_search_path_is_split_like_identifiers(text, names):
    """The wrong schema would be read."""
    assert split_identifiers(text) == names


@pytest.mark.parametrize(("text", "value"), [("tr", True), ("OFF", False), ("o", None), ("", None)])
def test_booleans(text, value):
    """Unambiguous prefixes count, as in PostgreSQL."""
    assert parse_bool(text) is value
