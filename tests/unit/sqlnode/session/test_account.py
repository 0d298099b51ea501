"""A session's account: every use is charged to some statement, once."""

import random

import pytest

from sqlnode.planner import Plan, PlanKind
from sqlnode.ru_meter import RuMeter
from sqlnode.session.account import Account
from sqlnode.statement_cpu import StatementCpu
from sqlnode.statement_stats import MICRO, StatementStats
from sqlnode.statements import Statement


class FakeOutput:
    """What was sent to the client."""

    total_bytes = 0


class Process:
    """Two sessions of one process, and its CPU clock."""

    def __init__(self):
        self.cpu_s = 0.0
        self.root = RuMeter()
        self.stats = StatementStats()
        cpu = StatementCpu(lambda: self.cpu_s)
        self.outs = [FakeOutput(), FakeOutput()]
        self.accounts = [Account(self.root.part(), self.stats, cpu, out) for out in self.outs]


def plan_of(text):
    return Plan(PlanKind.QUERY, "SELECT", text, None, (), ())


@pytest.mark.parametrize("seed", range(10))
def test_statements_add_up_to_what_the_process_used(seed):
    """The bill is made of statements, the budget of the meter: they must be the same."""
    rng, process = random.Random(seed), Process()
    texts = [f"select {n} + x" for n in range(5)]
    plans = {text: plan_of(text) for text in texts}
    for _ in range(200):
        number = rng.randrange(2)
        account, out = process.accounts[number], process.outs[number]
        account.wake()
        process.cpu_s += rng.random() / 100
        account.meter.charge_read(rng.randint(1, 9), rng.randint(0, 5000))
        out.total_bytes += rng.randint(0, 500)
        text = rng.choice(texts)
        match rng.randrange(4):
            case 0:
                account.failed(Statement(text), plans[text])
            case 1:
                account.rest()
            case _:
                account.succeeded(Statement(text), plans[text], "SELECT 3", 0.001)
    for account in process.accounts:
        account.close()
        account.meter.close()
    charged = sum(entry.ru_micro for entry in process.stats)
    assert charged == pytest.approx(process.root.ru() * MICRO, abs=300)  # half a millionth each
    assert process.root.sql_cpu_s == pytest.approx(process.cpu_s)
    calls = sum(entry.calls for entry in process.stats)
    assert sum(entry.row_count for entry in process.stats) == 3 * calls


def test_rest_is_not_charged():
    """A client that thinks would pay for what others do meanwhile."""
    process = Process()
    thinking, working = process.accounts
    for account in process.accounts:
        account.wake()
    thinking.rest()
    process.cpu_s += 1.0
    working.rest()
    assert (thinking.meter.sql_cpu_s, working.meter.sql_cpu_s) == (0.0, 1.0)
