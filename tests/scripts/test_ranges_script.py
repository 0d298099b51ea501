"""How a tenant's keys are cut up, told as a transcript."""

from contextlib import closing
from pathlib import Path

from tests.scripts.ranges_machine import RangeMachine
from tests.scripts.runner import run_script


def test_ranges(rewrite):
    """The transcript is the specification: what splits, what merges, and who answers."""
    with closing(RangeMachine()) as machine:
        run_script(Path(__file__).parent / "ranges.txt", machine, rewrite=rewrite)
