"""Durations and settings on the command line."""

import pytest

from cli.durations import seconds
from cli.errors import CommandFailed
from cli.tenant import _read_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1.5h", 5400), ("2h", 7200), ("1h30m", 5400), ("500ms", 0.5), (" 7D ", 604800)],
)
def test_durations_mean_what_operators_write(text, expected):
    """History would be kept sixty times as long, or as short."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "-1h", "1h 2", "1y", "2h3", "nan", "1e3s"])
def test_what_is_no_duration_is_refused(text):
    """A typo would become some other time."""
    with pytest.raises(CommandFailed, match="no duration"):
        seconds(text)


def test_gc_ttl_is_a_setting_or_an_option():
    """`insula tenant set acme gc_ttl=2h` would set nothing and say that all is well."""
    assert _read_settings(["gc_ttl=2h"], None) == {"gc_ttl_s": 7200}
    assert _read_settings([], "90") == {"gc_ttl_s": 90}
    assert _read_settings([], None) == {}
    both = _read_settings(["weight=4", "gc-ttl=1m"], None)
    assert both == {"weight": 4, "gc_ttl_s": 60}
    for settings, option in (
        (["gc_ttl=1h"], "2h"),
        (["gcttl=1h"], None),
        (["gc_ttl"], None),
        (["weight=x"], None),
    ):
        with pytest.raises(CommandFailed):
            _read_settings(settings, option)
