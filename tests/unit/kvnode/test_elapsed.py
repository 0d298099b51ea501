"""Ages in time that really passed."""

import doctest

from kvnode.tenants import elapsed


def test_examples():
    """Outcomes are forgotten early because somebody set the clock."""
    assert doctest.testmod(elapsed).failed == 0
