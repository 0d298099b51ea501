"""How evenly something is shared: one number for a report."""

from collections.abc import Sequence


def fairness_index(shares: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return Jain's index: 1 if all get the same for their weight, 1/n if one gets everything.

    Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness", 1984.

    >>> fairness_index([5, 5, 5, 5]), fairness_index([1, 0, 0, 0])
    (1.0, 0.25)
    >>> fairness_index([1, 2, 4], weights=[1, 2, 4])
    1.0
    """
    if weights is not None:
        shares = [share / weight for share, weight in zip(shares, weights, strict=True)]
    squares = sum(share * share for share in shares)
    if not squares:
        return 1.0  # nobody got anything: that is even
    return sum(shares) ** 2 / (len(shares) * squares)
