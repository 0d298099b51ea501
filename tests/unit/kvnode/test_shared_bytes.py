"""Who may have how much of what all tenants share."""

import random

from kvnode.admission.shared_bytes import SharedBytes


def fill(pool, tenant_id, piece):
    """Let a tenant take all it gets; return how much that is."""
    while pool.admits(tenant_id, piece):
        pool.add(tenant_id, piece)
    return pool.of(tenant_id)


def test_a_tenant_within_its_share_finds_room_that_others_cannot_take():
    """The first two tenants to flood the node would keep everyone else out."""
    pool = SharedBytes(800)
    assert fill(pool, 1, 10) == 400
    assert fill(pool, 2, 10) >= 200
    assert fill(pool, 1, 10) == 400, "over its share it gets no more"
    assert fill(pool, 3, 10) >= 400 // 3 - 10


def test_whoever_has_nothing_is_admitted_while_there_is_room():
    """One large request could never pass where shares have become small."""
    pool = SharedBytes(800)
    for tenant_id in range(1, 20):
        pool.add(tenant_id, 20)
    assert pool.admits(99, 300)
    assert not pool.admits(99, 421)
    assert not pool.admits(1, 300)


def test_what_is_larger_than_all_there_is_passes_alone():
    """A small node would ask for a large row again and again, and take it never."""
    pool = SharedBytes(800)
    assert pool.admits(1, 900)
    pool.add(1, 10)
    assert not pool.admits(1, 900)
    assert not pool.admits(2, 900)


def test_what_is_not_shared_with_anybody_is_used():
    """Fairness would cost a lone tenant beside quiet ones most of the room."""
    pool = SharedBytes(8000)
    for tenant_id in range(2, 52):
        pool.add(tenant_id, 1)
    assert fill(pool, 1, 10) > 1900


def test_less_is_open_while_the_process_has_too_much():
    """A node whose estimates are wrong would grow past its bound."""
    pool = SharedBytes(800)
    fill(pool, 1, 10)
    pool.is_short = True
    assert pool.is_over(1)
    assert pool.admits(2, 10)
    pool.add(1, -310)
    assert not pool.is_over(1)


def test_random_tenants_never_pass_the_bound_and_are_never_shut_out():
    """Conservation: the bound is one, and what is given back is there again."""
    for seed in range(50):
        rng = random.Random(seed)
        pool, held = SharedBytes(1000), []
        for _ in range(500):
            tenant_id, size = rng.randrange(6), rng.randrange(1, 40)
            own, active = pool.of(tenant_id), len({t for t, _ in held} | {tenant_id})
            if pool.admits(tenant_id, size):
                pool.add(tenant_id, size)
                held.append((tenant_id, size))
            else:
                is_full = pool.total + size > pool.bytes_max
                assert is_full or (own + size) * active > 500, f"{seed=}"
            while held and rng.random() < 0.45:
                pool.add(*(lambda t, s: (t, -s))(*held.pop(rng.randrange(len(held)))))
            assert pool.total == sum(size for _, size in held) <= 1000, f"{seed=}"
        for tenant_id, size in held:
            pool.add(tenant_id, -size)
        assert not pool.total
        assert not any(map(pool.of, range(6)))
