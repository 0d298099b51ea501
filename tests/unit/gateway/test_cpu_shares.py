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

    def contend(self, seconds, favour, *, capacity=1.3):
        """Let one process of each tenant compute, as the kernel has it: by nice value and favour.

        Return what part each used in the last two seconds.
        """
        used = []
        for _ in range(int(seconds * 4)):
            claims = {t: part / 1.25 ** self.shares.nice_steps(t) for t, part in favour.items()}
            unit = capacity / sum(claims.values())
            used.append({t: claim * unit for t, claim in claims.items()})
            self.run(0.25, **{f"p{t}_{t}": cores for t, cores in used[-1].items()})
        return {t: sum(one[t] for one in used[-8:]) / 8 / capacity for t in favour}


@pytest.mark.parametrize(("cores", "steps"), [(0.05, 0), (0.3, 5), (0.4, 6), (0.8, 9), (1.6, 12)])
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


@pytest.mark.parametrize("seconds", [4, 20])
def test_who_is_ahead_falls_back_whatever_the_kernel_favours(seconds):
    """A tenant whose process has a CPU nearly for itself would keep half as much again."""
    favour = {1: 1.5, 2: 1.0, 3: 1.0, 4: 0.7}
    parts = Machine().contend(seconds, favour)
    assert all(abs(part - 0.25) < 0.12 * 0.25 for part in parts.values()), parts


def test_many_that_compete_are_evened_out():
    """Of thirty tenants none uses enough to stand back for that, and the kernel has its way."""
    favour = {t: 1.5 if t % 2 else 1.0 for t in range(1, 31)}
    parts = Machine().contend(30, favour, capacity=1.9)
    assert max(parts.values()) < 1.2 * min(parts.values()), parts


@pytest.mark.parametrize("weights", [{1: 1.0, 2: 2.0, 3: 4.0}, {1: 1.0, 2: 8.0}])
def test_weights_that_compete_get_shares_like_them(weights):
    """Of two busy tenants with 1 and 4 one would get only twice what the other does."""
    parts = Machine(weights).contend(30, dict.fromkeys(weights, 1.0))
    total = sum(weights.values())
    for tenant_id, weight in weights.items():
        assert abs(parts[tenant_id] * total / weight - 1) < 0.12, parts


def test_lighter_tenants_stand_back_for_heavier_ones_that_compete():
    """Who uses little, or has only idle ones beside it, would wait for nobody's sake."""
    machine = Machine({QUIET: 1.0, BUSY: 4.0})
    machine.run(20, p1_1=0.21, p2_2=0.84)
    shares = machine.shares
    assert shares.steps(QUIET) == shares.steps(BUSY) == 3, "as far from what is theirs"
    assert shares.nice_steps(BUSY) == 3
    assert shares.nice_steps(QUIET) == 3 + 6, "a factor of four"
    machine.run(20, p1_1=0.05, p2_2=0.8)
    assert shares.nice_steps(QUIET) == 0, "who uses little stands back for nobody"
    machine.run(20, p1_1=0.4, p2_2=0.05)
    assert shares.nice_steps(QUIET) == 6, "nor for somebody heavy who is idle"


def test_a_tenant_that_is_too_light_does_not_set_the_measure():
    """Beside one with a hundredth of the weight all others would be equally far behind."""
    favour = {1: 1.0, 2: 2.0, 3: 1.0, 4: 1.0}
    parts = Machine({1: 0.01}).contend(30, favour)
    assert parts[1] < 0.08
    assert parts[2] < 1.25 * parts[3], parts


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


def test_the_prompt_stand_back_for_nobody():
    """Each step would end that it runs at once, for a quarter of a second."""
    machine = Machine()
    machine.run(20, p1_1=0.15, p2_2=0.15)
    assert machine.shares.is_prompt(QUIET)
    assert machine.shares.nice_steps(QUIET) == 0


def test_the_prompt_ones_leave_half_of_the_cpu_to_the_others():
    """Fifty tenants that each use a little would stop everybody who is not among them."""
    for cores in (0.01, 0.019, 0.021, 0.1):
        machine = Machine()
        machine.run(20, **{f"p{t}_{t}": cores for t in range(10, 60)})
        prompt = [t for t in range(10, 60) if machine.shares.is_prompt(t)]
        assert cores * len(prompt) <= 1.0
        assert bool(prompt) is (cores <= 0.02)
