"""Connects to sleeping tenants: from TCP connect to the first row, all from the warm pool.

The client's own work (PBKDF2) is done beforehand, by giving all tenants one verifier.
`make bench` holds the real bounds on an idle machine.
"""

import re
import time

import pytest

from cli.passwords import make_verifier
from tests.e2e.raw_client import RawClient, tcp
from tests.e2e.stack import PASSWORD, USER, Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
TENANTS = 200
PAUSE_S = 0.05
# The aims are 30 and 120 ms. A CI machine runs other things: ten times as much still tells a
# warm process from one that starts Python and loads its libraries (1.5 s).
P50_S_MAX = 0.30
P99_S_MAX = 1.20


@pytest.fixture(scope="module")
def sleeping():
    """A stack with many tenants that have no process."""
    with Stack(environment={"INSULA_POOL__IDLE_S": "1"}) as stack:
        verifier = make_verifier(PASSWORD)
        admin = stack.admin()
        started_s = time.monotonic()
        for number in range(TENANTS):
            admin.create(f"t{number}", user=USER, verifier=verifier)
        print(f"create a tenant: {(time.monotonic() - started_s) / TENANTS * 1000:.1f} ms")
        admin.close()
        stack.create_tenant("first")
        with RawClient(tcp(stack)) as client:
            client.connect("first")  # PBKDF2 of another salt; wakes what only the first login does
        yield stack


def _connect_s(stack, tenant):
    started_s = time.monotonic()
    with RawClient(tcp(stack)) as client:
        client.connect(tenant)
        client.send(b"Q\0\0\0\rselect 1\0")
        tags = b"".join(tag for tag, _ in client.until(b"D", b"E"))
        taken_s = time.monotonic() - started_s
        assert tags.endswith(b"D"), tags
    return taken_s


def _paths(stack):
    text = stack.http("/metrics")[1]
    found = re.findall(r'hand_over_seconds_count\{path="(\w+)"\} ([\d.]+)', text)
    return {path: int(float(count)) for path, count in found}


def test_first_row_of_a_sleeping_tenant(sleeping):
    """The first page after a night would keep its reader waiting."""
    wait_until(lambda: sum(p.get("state") == "warm" for p in sleeping.processes()) >= 4, 20, "warm")
    _connect_s(sleeping, "t0")  # fills the client's cache of keys
    wait_until(lambda: not sleeping.sql_pids("t0"), 20, "t0 sleeps again")
    before = _paths(sleeping)
    taken = []
    for number in range(TENANTS):
        taken.append(_connect_s(sleeping, f"t{number}"))
        time.sleep(PAUSE_S)
    taken.sort()
    p50_s, p99_s = taken[TENANTS // 2], taken[TENANTS * 99 // 100 - 1]
    print(f"connect to first row: p50 {p50_s * 1000:.1f} ms, p99 {p99_s * 1000:.1f} ms")
    after = _paths(sleeping)
    counts = {path: after[path] - before.get(path, 0) for path in after}
    assert {path for path, count in counts.items() if count} == {"warm"}, counts
    assert p50_s <= P50_S_MAX
    assert p99_s <= P99_S_MAX
