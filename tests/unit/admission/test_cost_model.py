"""What things cost, and how even a share is."""

import doctest

import pytest

import admission.cost_model
import admission.fairness
from admission.cost_model import PRICES, Usage, request_units
from admission.fairness import fairness_index


@pytest.mark.parametrize("module", [admission.cost_model, admission.fairness])
def test_examples(module):
    """The examples are what a reader takes the prices from."""
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_the_bill_is_the_sum():
    """A tenant's bill would differ from the sum over its statements."""
    uses = [Usage(read_requests=n, kv_cpu_s=n / 1000, write_bytes=n * 10) for n in range(20)]
    total = sum(uses, Usage())
    assert request_units(total) == pytest.approx(sum(map(request_units, uses)))
    assert request_units(Usage(kv_cpu_s=3)) == pytest.approx(1000)
    assert all(price.ru > 0 and price.unit and price.why for price in PRICES.values())


def test_fairness_of_nothing():
    """A report about a second in which nobody worked would divide by zero."""
    assert fairness_index([0, 0]) == 1.0
