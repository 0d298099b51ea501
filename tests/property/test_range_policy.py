"""Laws of splitting and merging, whatever the tenant does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.ranges.policy import Heat, RangeLoad, RangePolicy, joined_heat

POLICY = RangePolicy(bytes_max=1000, merge_bytes_max=400, load_per_s=100, load_s=10, quiet_s=60)
SIZES = st.integers(0, 2000)
RATES = st.floats(0, 300)


class Model:
    """Ranges as (size, rate, heat); a split halves both, a merge adds them."""

    def __init__(self, size, rate):
        self.parts = [[float(size), rate, Heat()]]
        self.now_s = 0.0
        self.changes = []

    def loads(self):
        return [RangeLoad(heat, int(size), rate) for size, rate, heat in self.parts]

    def tick(self):
        self.now_s += 1
        for _ in range(64):
            if not self.change():
                return

    def change(self):
        loads = self.loads()
        for load in loads:
            POLICY.observe(load, self.now_s)
        for index, load in enumerate(loads):
            if (cause := POLICY.split_cause(load, self.now_s)) is not None:
                size, rate, _ = self.parts[index]
                halves = [[size / 2, rate / 2, Heat()], [size / 2, rate / 2, Heat()]]
                self.parts[index : index + 1] = halves
                self.changes.append((self.now_s, cause))
                return True
        index = POLICY.merge_index(loads, self.now_s)
        if index is None:
            return False
        left, right = self.parts[index : index + 2]
        self.parts[index : index + 2] = [
            [left[0] + right[0], left[1] + right[1], joined_heat(left[2], right[2])]
        ]
        self.changes.append((self.now_s, "merge"))
        return True


@given(SIZES, RATES)
def test_a_steady_tenant_settles(size, rate):
    """Ranges would split and merge for ever, each time with a write and a new generation."""
    model = Model(size, rate)
    for _ in range(600):
        model.tick()
    settled = len(model.changes)
    for _ in range(600):
        model.tick()
    assert len(model.changes) == settled
    assert "merge" not in [what for _, what in model.changes], "what a split made stays apart"


WAVES = st.lists(st.tuples(st.floats(0.7, 1.4), st.floats(0.7, 1.4)), min_size=2, max_size=12)


@settings(max_examples=50)
@given(SIZES, RATES, WAVES)
def test_a_tenant_that_wavers_causes_no_flapping(size, rate, waves):
    """Load that swings by a factor of two would split and merge ranges with every swing."""
    model = Model(size, rate)
    for size_factor, rate_factor in waves:
        factors = (size_factor, rate_factor)
        model.parts = [[p[0] * factors[0], p[1] * factors[1], p[2]] for p in model.parts]
        for _ in range(70):
            model.tick()
        model.parts = [[p[0] / factors[0], p[1] / factors[1], p[2]] for p in model.parts]
    assert "merge" not in [what for _, what in model.changes]


@given(SIZES, SIZES, RATES, RATES, st.floats(0, 1000))
def test_what_merges_is_far_from_splitting(left, right, left_rate, right_rate, waited_s):
    """A merge that is split at once costs two writes and confuses every client."""
    loads = [RangeLoad(Heat(), left, left_rate), RangeLoad(Heat(), right, right_rate)]
    for load in loads:
        POLICY.observe(load, 0.0)
        POLICY.observe(load, waited_s)
    if POLICY.merge_index(loads, waited_s) is None:
        return
    assert waited_s >= POLICY.quiet_s
    joined = RangeLoad(Heat(), left + right, left_rate + right_rate)
    POLICY.observe(joined, waited_s)
    assert POLICY.split_cause(joined, waited_s) is None
    doubled = RangeLoad(joined.heat, 2 * (left + right), 2 * (left_rate + right_rate))
    POLICY.observe(doubled, waited_s)
    assert POLICY.split_cause(doubled, waited_s + 1000) is None


@given(st.lists(st.tuples(SIZES, RATES), min_size=1, max_size=6))
def test_a_range_elsewhere_is_not_joined(parts):
    """One node would take keys that another one serves."""
    loads = [
        RangeLoad(Heat(), size, rate, leaseholder=f"node{index}")
        for index, (size, rate) in enumerate(parts)
    ]
    for load in loads:
        POLICY.observe(load, 0.0)
    assert POLICY.merge_index(loads, 1000.0) is None
