"""gateway.session_table and gateway.binding_proof."""

import random
import struct

from gateway.binding_proof import is_genuine, load_secret, make_binding
from gateway.session_table import SessionTable
from runtime.control_wire import SessionKey, TenantBinding


def secret_of(key):
    return struct.pack("!I", key.secret_key)


def test_a_cancel_key_finds_its_session_only():
    """A client could cancel another one's statement by guessing."""
    table = SessionTable(random.Random(1), first_session_id=10)
    one, two = table.open(), table.open()
    table.placed(one.session_id, 501)
    assert table.find(one.backend_pid, secret_of(one)).pid == 501
    assert table.find(one.backend_pid, secret_of(two)) is None
    assert table.find(one.backend_pid, b"") is None
    assert table.find(12345, secret_of(one)) is None
    table.close(one.session_id)
    assert table.find(one.backend_pid, secret_of(one)) is None


def test_a_dead_process_takes_its_sessions():
    """Cancel requests would be sent to a process that is gone."""
    table = SessionTable(random.Random(1), first_session_id=1)
    keys = [table.open() for _ in range(3)]
    for key, pid in zip(keys, (7, 7, 8), strict=True):
        table.placed(key.session_id, pid)
    assert table.close_of(7) == 2
    assert len(table) == 1


def test_adopted_sessions_can_be_cancelled():
    """After a gateway restart Ctrl-C would do nothing."""
    table = SessionTable(random.Random(1), first_session_id=1)
    key = SessionKey(99, 4321, 77)
    table.adopt(key, 7)
    assert table.find(4321, secret_of(key)).key.session_id == 99


def test_a_binding_is_bound_to_its_process_and_tenant(tmp_path):
    """A SQL process could take over another tenant's sessions."""
    secret = load_secret(tmp_path / "s", lambda n: b"k" * n)
    assert load_secret(tmp_path / "s", lambda n: b"other" * n) == secret
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    binding = make_binding(secret, pid=5, tenant_id=1, tenant_name="acme", user="app")
    assert is_genuine(secret, binding, pid=5)
    assert not is_genuine(secret, binding, pid=6)
    other = TenantBinding(tenant_id=2, tenant_name="acme", user="app", proof=binding.proof)
    assert not is_genuine(secret, other, pid=5)
    assert not is_genuine(b"x" * 32, binding, pid=5)
