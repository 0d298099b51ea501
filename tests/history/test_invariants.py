"""The named checks: their examples, and that the history checker needs nothing of Insula."""

import ast
import doctest
from pathlib import Path

import pytest

from tests.history import graph, invariants, model


@pytest.mark.parametrize("module", [graph, invariants, model], ids=lambda m: m.__name__)
def test_examples(module):
    """The examples are the hand-made histories of these checks."""
    assert doctest.testmod(module).failed == 0


def test_the_checker_is_independent():
    """A checker that shares code with what it checks shares its errors."""
    ours = {"kvapi", "kvnode", "sqlnode", "gateway", "pgwire", "runtime", "admission", "cli"}
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not ours & {name.split(".")[0] for name in names}, path
