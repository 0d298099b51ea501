"""The credential of a SQL process: a signed, expiring "the bearer is tenant N of cluster C".

Layout (69 bytes): version u8 = 1 · cluster id 16 · tenant id u32 · expiry u64 (Unix seconds) ·
nonce 8 · HMAC-SHA256 over all that precedes, 32. Integers are big-endian. The secret never leaves
the KV nodes.
"""

import hashlib
import hmac
import struct
from typing import Final

from kvapi.errors import CredentialRefused

_VERSION: Final = 1
_CLAIMS: Final = struct.Struct(">B16sIQ8s")
_MAC_BYTES: Final = 32
CREDENTIAL_BYTES: Final = _CLAIMS.size + _MAC_BYTES
NONCE_BYTES: Final = 8
CLUSTER_ID_BYTES: Final = 16


def sign(
    secret: bytes, *, cluster_id: bytes, tenant_id: int, expires_unix_s: int, nonce: bytes
) -> bytes:
    """Return a credential for `tenant_id` until `expires_unix_s`; `nonce` is 8 random bytes."""
    assert len(cluster_id) == CLUSTER_ID_BYTES, "a cluster id has 16 bytes"
    assert len(nonce) == NONCE_BYTES, "a credential's nonce has 8 bytes"
    claims = _CLAIMS.pack(_VERSION, cluster_id, tenant_id, expires_unix_s, nonce)
    return claims + _mac(secret, claims)


def verify(secret: bytes, *, cluster_id: bytes, token: bytes, now_s: float) -> int:
    """Return the tenant id that `token` stands for.

    Raises: CredentialRefused, whose message says why.
    """
    if not token:
        raise CredentialRefused("no credential given")
    if len(token) != CREDENTIAL_BYTES or token[0] != _VERSION:
        raise CredentialRefused("malformed credential")
    claims, mac = token[: _CLAIMS.size], token[_CLAIMS.size :]
    _, token_cluster_id, tenant_id, expires_unix_s, _ = _CLAIMS.unpack(claims)
    if token_cluster_id != cluster_id:
        raise CredentialRefused("credential belongs to another cluster")
    if not hmac.compare_digest(mac, _mac(secret, claims)):
        raise CredentialRefused("forged credential: its signature does not match")
    if now_s >= expires_unix_s:
        raise CredentialRefused(f"credential expired {int(now_s) - expires_unix_s} s ago")
    return int(tenant_id)


def _mac(secret: bytes, claims: bytes) -> bytes:
    return hmac.new(secret, claims, hashlib.sha256).digest()
