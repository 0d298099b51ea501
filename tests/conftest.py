"""Options of the whole test suite."""

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write what the scripts really answer into tests/scripts/*.txt; review the diff",
    )


@pytest.fixture
def rewrite(request):
    """Whether transcripts are to be rewritten instead of compared."""
    return request.config.getoption("--rewrite")
