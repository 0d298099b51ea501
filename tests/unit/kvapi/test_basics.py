"""Timestamps, tenant key layout, roles, credentials."""

import doctest
import importlib

import pytest

from kvapi import credential, hlc, layout
from kvapi.errors import CredentialRefused
from kvapi.role_record import RoleRecord, RoleRecordInvalid, decode_role, encode_role
from runtime.clock import ManualClock

CLUSTER = b"c" * 16
SECRET = b"s" * 32


@pytest.mark.parametrize("name", ["hlc", "keys", "layout", "spans"])
def test_doctests(name):
    """Examples that lie are worse than none."""
    assert doctest.testmod(importlib.import_module(f"kvapi.{name}")).failed == 0


def test_hlc_never_goes_back():
    """Two commits with one timestamp, or in reverse order, break every snapshot."""
    clock = ManualClock()
    source = hlc.Hlc(clock)
    seen = [source.now() for _ in range(5000)]  # more than the logical part of one microsecond
    clock.advance(-10)
    seen.append(source.now())
    source.update(seen[-1] + 1_000_000)
    seen.append(source.now())
    clock.advance(100)
    seen.append(source.now())
    assert seen == sorted(set(seen))
    assert hlc.wall_us(seen[-1]) == clock.now_ns() // 1000
    assert hlc.logical(seen[-1]) == 0


def test_layout_areas_do_not_overlap():
    """A row of table 2 inside table 1's span would be dropped with it."""
    keys = [
        layout.meta_key("x"),
        layout.descriptor_key(1, 2),
        layout.role_key("r"),
        layout.name_key(1, "t"),
        layout.index_prefix(1, 1) + b"\xff\xff",
        layout.index_prefix(1, 2),
        layout.index_prefix(2, 1),
        layout.sequence_key(1),
        layout.stats_key(1),
    ]
    assert keys == sorted(keys)
    assert [layout.table_span(1).contains(k) for k in keys].count(True) == 2
    assert [layout.CATALOG_SPAN.contains(k) for k in keys].count(True) == 4
    assert layout.parse_index_prefix(keys[5] + b"rest") == (1, 2)
    assert layout.parse_index_prefix(keys[7] + b"padding") is None
    assert layout.parse_descriptor_key(keys[1]) == (1, 2)


def test_roles():
    """Login reads what tenant administration wrote, also from a newer version."""
    role = RoleRecord(name="ann", scram_verifier="SCRAM-SHA-256$…", is_owner=True)
    assert decode_role(encode_role(role)) == role
    assert decode_role(b'{"name":"x","unknown":1}').can_login
    with pytest.raises(RoleRecordInvalid):
        decode_role(b"{}")


def _sign(**changes):
    claims = {
        "cluster_id": CLUSTER,
        "tenant_id": 7,
        "expires_unix_s": 1000,
        "nonce": b"n" * 8,
    } | changes
    return credential.sign(SECRET, **claims)


def test_credential_is_accepted():
    """The one way into a tenant's data."""
    assert credential.verify(SECRET, cluster_id=CLUSTER, token=_sign(), now_s=999.9) == 7


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", "no credential"),
        (b"x", "malformed"),
        (_sign()[:-1], "malformed"),
        (_sign(cluster_id=b"d" * 16), "another cluster"),
        (_sign(expires_unix_s=500), "expired"),
        (_sign()[:-1] + b"\x00", "forged"),
        (_sign()[:20] + b"\x08" + _sign()[21:], "forged"),
    ],
)
def test_credential_is_refused_with_its_reason(token, reason):
    """Tenant isolation rests on each of these; the reason is for the operator."""
    with pytest.raises(CredentialRefused, match=reason):
        credential.verify(SECRET, cluster_id=CLUSTER, token=token, now_s=600)
