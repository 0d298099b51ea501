"""runtime.cpu_limit: what a container may use."""

import math

from runtime.cpu_limit import quota_of, usable_cores


def test_the_smallest_quota_on_the_way_up_counts(tmp_path):
    """In a container of half a CPU the node would stand still half of each tenth of a second."""
    group = tmp_path / "pod" / "insula"
    group.mkdir(parents=True)
    assert quota_of(group) == math.inf
    (group / "cpu.max").write_text("150000 100000\n")
    assert quota_of(group) == 1.5
    (tmp_path / "pod" / "cpu.max").write_text("50000 100000\n")
    assert quota_of(group) == 0.5
    (group / "cpu.max").write_text("max 100000\n")
    assert quota_of(group) == 0.5


def test_there_is_always_something_to_use():
    """A machine without control groups would not start."""
    assert usable_cores() > 0
