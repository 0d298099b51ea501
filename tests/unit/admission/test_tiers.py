"""Tokens in tiers."""

import math

from admission.tiers import TieredTokens


def test_the_privileged_always_hold_more():
    """Work within its share would wait while a flood goes on."""
    tokens = TieredTokens([10.0, 4.0], burst_s=1.0, debt_s=0.5)
    for second in range(20):
        tokens.fill(second * 0.1)
        tokens.take(3.0 if second % 3 else -0.5)
        if second == 10:
            tokens.set_rates([8.0, 7.0])
        assert tokens.levels[0] >= tokens.levels[1] >= -5.0
        assert tokens.wait_s(0) <= tokens.wait_s(1)


def test_what_was_reserved_without_a_limit_is_settled_with_one():
    """Infinity less infinity is no number: nothing would ever pass again."""
    tokens = TieredTokens([math.inf, math.inf], burst_s=1.0, debt_s=0.5)
    unlimited = tokens.reserve(5.0)
    tokens.settle(tokens.reserve(2.0), 3.0)
    assert tokens.taken == 3.0
    tokens.set_rates([10.0, 4.0])
    tokens.settle(unlimited, 6.0)
    assert tokens.taken == 9.0
    assert tokens.levels == [4.0, -2.0]
    tokens.fill(0.0)
    tokens.fill(1.0)
    assert tokens.may_take(1)
