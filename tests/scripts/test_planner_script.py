"""Bound plans, told as transcripts."""

from pathlib import Path

from pgwire.errors import SqlError
from tests.scripts.plan_text import explain
from tests.scripts.runner import run_script
from tests.unit.sqlnode.plan.small_catalog import bind


def machine(directive):
    """Directive: bind "statement"."""
    assert directive.name == "bind"
    sql = " ".join([*directive.words, *("=".join(pair) for pair in directive.arguments.items())])
    try:
        bound = bind(sql)
    except SqlError as error:
        return f"{error.sqlstate} {error.message}"
    lines = [explain(bound.bound)]
    if bound.param_types:
        lines.append("parameters " + ", ".join(map(str, bound.param_types)))
    return "\n".join(lines)


def test_planner(rewrite):
    """Executors would get other plans than the ones they are written for."""
    run_script(Path(__file__).parent / "planner.txt", machine, rewrite=rewrite)
