"""gateway.cpu_shares: who stands back, and how far."""

import pytest

from gateway.cpu_shares import STEPS_MAX, CpuShares, ProcessUse

QUIET, BUSY = 1, 2


class Machine:
    """Tenants that keep a number of cores busy, sampled four times a second."""

    def __init__(self, weights=None):
        self.shares = CpuShares(memory_s=2.0, cpus=2)
        self.now_s = 100.0
        self.used_s = {}
        self.weights = weights or {}

    def run(self, seconds, **cores):
        """Let processes (`p7_2`: pid 7 of tenant 2) use so many cores each."""
        steps = []
        for _ in range(int(seconds * 4)):
            self.now_s += 0.25
            sampled = {}
            for name, used in cores.items():
                pid, tenant_id = map(int, name[1:].split("_"))
                self.used_s[pid] = self.used_s.get(pid, 0.0) + used * 0.25
                sampled[pid] = ProcessUse(tenant_id, self.used_s[pid])
            self.shares.sample(self.now_s, sampled, self.weights)
            steps.append({t: self.shares.steps(t) for t in (QUIET, BUSY)})
        return steps


@pytest.mark.parametrize(("cores", "steps"), [(0.05, 0), (0.2, 3), (0.4, 6), (0.8, 9), (1.6, 12)])
def test_each_doubling_of_use_costs_three_steps(cores, steps):
    """A wild tenant's processes would win the CPU from one that seldom needs it."""
    assert Machine().run(20, p1_2=cores)[-1] == {QUIET: 0, BUSY: steps}


def test_a_short_burst_is_not_held_against_a_tenant():
    """One large report would slow a tenant's next minute."""
    machine = Machine()
    assert machine.run(5, p1_2=1.0)[-1][BUSY] >= 8
    after = [steps[BUSY] for steps in machine.run(10, p1_2=0.0)]
    assert after == sorted(after, reverse=True)
    assert after[-1] == 0


def test_many_processes_count_as_one_tenant():
    """Opening more connections would buy more CPU."""
    one, four = Machine(), Machine()
    alone = one.run(20, p1_2=0.8)[-1]
    assert four.run(20, p1_2=0.2, p2_2=0.2, p3_2=0.2, p4_2=0.2)[-1] == alone


def test_weight_buys_use():
    """A tenant that pays for four times the share would be held to one."""
    assert Machine({BUSY: 4.0}).run(20, p1_2=0.8)[-1][BUSY] == 3


def test_weights_that_compete_get_shares_like_them():
    """Of two busy tenants with 1 and 4 one would get only twice what the other does."""
    machine = Machine({QUIET: 1.0, BUSY: 4.0})
    machine.run(20, p1_1=0.2, p2_2=0.8)
    shares = machine.shares
    assert shares.steps(QUIET) == shares.steps(BUSY) == 3, "as far from what is theirs"
    assert shares.nice_steps(BUSY) == 3
    assert shares.nice_steps(QUIET) == 3 + 6, "a factor of four"
    machine.run(20, p1_1=0.05, p2_2=0.8)
    assert shares.nice_steps(QUIET) == 0, "who uses little stands back for nobody"
    machine.run(20, p1_1=0.4, p2_2=0.05)
    assert shares.nice_steps(QUIET) == 6, "nor for somebody heavy who is idle"


def test_steps_are_bounded_and_do_not_flap():
    """Each change is a system call for every thread of a process."""
    machine = Machine()
    assert max(steps[BUSY] for steps in machine.run(30, p1_2=64.0)) == STEPS_MAX
    machine = Machine()
    machine.run(20, p1_2=0.35)
    between = [s[BUSY] for n in range(40) for s in machine.run(0.25, p1_2=0.33 + 0.04 * (n % 2))]
    assert len(set(between)) == 1


def test_a_process_that_is_new_or_changes_hands_starts_from_nothing():
    """What a pid used before, for another tenant, would be charged to its heir."""
    machine = Machine()
    machine.used_s[1] = 500.0
    assert machine.run(0.5, p1_2=0.0)[-1][BUSY] == 0
    machine.used_s[1] = 900.0
    assert machine.run(0.25, p1_1=0.0)[-1] == {QUIET: 0, BUSY: 0}
    assert machine.shares.cores(BUSY) == 0.0


def test_who_needs_next_to_nothing_is_prompt():
    """A row a second would wait for the kernel's tick behind whoever computes."""
    machine = Machine()
    machine.run(20, p1_1=0.02, p2_2=0.9)
    assert machine.shares.is_prompt(QUIET)
    assert not machine.shares.is_prompt(BUSY)
    machine.run(20, p1_1=0.3, p2_2=0.9)
    assert not machine.shares.is_prompt(QUIET)


def test_the_prompt_ones_leave_half_of_the_cpu_to_the_others():
    """Fifty tenants that each use a little would stop everybody who is not among them."""
    for cores in (0.01, 0.019, 0.021, 0.1):
        machine = Machine()
        machine.run(20, **{f"p{t}_{t}": cores for t in range(10, 60)})
        prompt = [t for t in range(10, 60) if machine.shares.is_prompt(t)]
        assert cores * len(prompt) <= 1.0
        assert bool(prompt) is (cores <= 0.02)
