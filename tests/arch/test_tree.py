"""The shape of the tree: rules that no linter knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "kvapi",
    "pgwire",
    "admission",
    "runtime",
    "kvnode",
    "sqlnode",
    "gateway",
    "cli",
    "bench",
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def _sources() -> list[Path]:
    return [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "pb" not in path.parts
    ]


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_one_idea_per_file(path: Path) -> None:
    """A file or function that outgrows one screen hides a second idea from its reader."""
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX, f"{path} holds two ideas"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{path.name}: {node.name} has {length} lines"


def test_packages_say_what_they_are_for() -> None:
    """A newcomer finds a behaviour by package docstrings; code there would hide from them."""
    for path in (p for p in _sources() if p.name == "__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, f"{path} holds more than its docstring"
        assert isinstance(body[0], ast.Expr), f"{path} has no docstring"


def test_pins_are_exact() -> None:
    """A fresh clone next year must run the bytes that were tested."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        assert "==" in requirement, requirement
