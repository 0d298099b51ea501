"""The record of one role, stored as JSON under `layout.role_key(name)`.

The KV node's tenant administration writes it, the gateway's login reads it, SQL changes it. Unknown
fields of a newer version are ignored on reading.
"""

import msgspec


class RoleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One role of a tenant."""

    name: str
    scram_verifier: str = (
        ""  # SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>; empty: no password
    )
    can_login: bool = True
    is_owner: bool = False
    is_superuser: bool = False
    created_unix_ms: int = 0


class RoleRecordInvalid(ValueError):
    """The stored bytes are no role record."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RoleRecord)


def encode_role(role: RoleRecord) -> bytes:
    """Return the bytes to store."""
    return _encoder.encode(role)


def decode_role(stored: bytes) -> RoleRecord:
    """Return the role of stored bytes. Raises: RoleRecordInvalid."""
    try:
        return _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RoleRecordInvalid(f"not a role record: {error}") from error
