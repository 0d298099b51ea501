"""Options of the whole test suite."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# Tests start programs while gRPC's threads run; its handlers of fork() then crash the new process
# before it becomes the program.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# How fast examples come says nothing about the code: in a fresh clone hypothesis first builds its
# table of all characters, and the CPUs are shared.
settings.register_profile(
    "insula", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("insula")


def pytest_collection_finish():
    """Take thousands of tests and all modules out of what each full collection looks at."""
    gc.collect()
    gc.freeze()


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
