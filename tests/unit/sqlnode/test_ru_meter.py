"""What is metered: by session, by statement and in all."""

import pytest

from admission.cost_model import PRICES, Usage, request_units
from sqlnode.ru_meter import RuMeter


def charge_everything(meter, times=1):
    meter.charge_read(2 * times, 300 * times)
    meter.charge_write(3 * times, 40 * times, batches=2)
    meter.charge_kv_cpu(0.5 * times)
    meter.charge_sql_cpu(0.25 * times)
    meter.charge_egress(1000 * times)


def test_every_charge_is_in_the_total():
    """A use that is charged and not counted would be free."""
    root = RuMeter()
    charge_everything(root)
    expected = Usage(
        read_batches=1,
        read_requests=2,
        read_bytes=300,
        write_batches=2,
        write_requests=3,
        write_bytes=40,
        kv_cpu_s=0.5,
        sql_cpu_s=0.25,
        egress_bytes=1000,
    )
    assert root.usage() == expected
    assert root.ru() == pytest.approx(request_units(expected))
    assert len(root.mark()) == len(PRICES)


def test_the_total_holds_what_living_and_ended_sessions_used():
    """A session that ends must take nothing off the bill, and must not be billed twice."""
    root = RuMeter()
    first, second = root.part(), root.part()
    charge_everything(first)
    charge_everything(second, times=3)
    before = root.ru()
    first.close()
    first.close()
    assert root.ru() == pytest.approx(before)
    assert root.ru() == pytest.approx(request_units(root.usage()))
    charge_everything(second)
    second.close()
    assert root.usage().egress_bytes == 5000
    assert root.since(RuMeter().mark()) == root.usage(), "nothing is left in parts"


def test_parts_of_parts_are_closed_with_them():
    """A cursor's own meter must not be lost with its session."""
    root = RuMeter()
    session = root.part()
    session.part().charge_egress(7)
    assert root.usage().egress_bytes == 7
    session.close()
    assert root.usage().egress_bytes == 7


def test_statements_add_up_to_their_session():
    """The sum over statements is what the tenant pays."""
    session = RuMeter().part()
    costs = []
    for times in (1, 2, 3):
        mark = session.mark()
        charge_everything(session, times)
        costs.append(request_units(session.since(mark)))
    assert sum(costs) == pytest.approx(session.ru())


def test_work_of_insula_itself_is_apart():
    """Garbage collection must not be on anybody's bill."""
    root, own = RuMeter(), RuMeter()
    charge_everything(own)
    assert root.ru() == 0
    assert own.ru() > 0
