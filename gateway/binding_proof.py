"""The proof by which a SQL process shows a new gateway whose process it is.

Layout: HMAC-SHA256 over pid (4 bytes, big-endian), tenant id (4), tenant name, NUL, user. The
secret is the gateway's alone (`DATA_DIR/gateway.secret`, mode 0600); without it a process could
claim another tenant's sessions.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.control_wire import TenantBinding

_SECRET_BYTES: Final = 32


def make_binding(
    secret: bytes, *, pid: int, tenant_id: int, tenant_name: str, user: str
) -> TenantBinding:
    """Return what binds process `pid` to a tenant, signed."""
    proof = _sign(secret, pid, tenant_id, tenant_name, user)
    return TenantBinding(tenant_id=tenant_id, tenant_name=tenant_name, user=user, proof=proof)


def is_genuine(secret: bytes, binding: TenantBinding, *, pid: int) -> bool:
    """Whether a gateway with this secret bound `pid` to this tenant."""
    expected = _sign(secret, pid, binding.tenant_id, binding.tenant_name, binding.user)
    return hmac.compare_digest(expected, binding.proof)


def load_secret(path: Path, random_bytes: Callable[[int], bytes]) -> bytes:
    """Read the gateway's secret, made at the first start."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.draft")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(random_bytes(_SECRET_BYTES))
        draft.replace(path)
    return path.read_bytes()


def _sign(secret: bytes, pid: int, tenant_id: int, tenant_name: str, user: str) -> bytes:
    text = struct.pack("!II", pid, tenant_id) + tenant_name.encode() + b"\0" + user.encode()
    return hmac.digest(secret, text, hashlib.sha256)
