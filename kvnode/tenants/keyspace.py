"""The one place where a tenant's keys become keys of the store, and back.

**Invariants.** Every key that leaves here starts with the tenant's four bytes, and every span lies
between the first and the last possible key of the tenant, whatever the client sent. So another
tenant's key cannot be expressed. Advisory keys name nothing stored: they begin with four bytes that
no tenant has, then come the tenant's.
"""

from collections.abc import Iterable
from typing import Final

from kvapi.errors import KeyTooLong
from kvapi.spans import Span, prefix_end
from kvnode.mvcc.formats import HISTORY_OVERHEAD_BYTES, TENANT_BYTES, stored_key_bytes

TENANT_ID_MAX: Final = (1 << 32) - 2  # the last possible prefix has no end
_ADVISORY: Final = b"\xff\xff\xff\xff"


class Keyspace:
    """The keys of one tenant."""

    __slots__ = ("_key_bytes_max", "_key_bytes_safe", "end", "prefix")

    def __init__(self, tenant_id: int, *, key_bytes_max: int) -> None:
        assert 0 <= tenant_id <= TENANT_ID_MAX, "tenant ids are 32 bits"
        self.prefix = tenant_id.to_bytes(TENANT_BYTES, "big")
        self.end = prefix_end(self.prefix)
        self._key_bytes_max = key_bytes_max
        # A key so short fits even if each of its bytes has to be escaped in the history.
        self._key_bytes_safe = (key_bytes_max - TENANT_BYTES - HISTORY_OVERHEAD_BYTES) // 2

    @property
    def key_bytes_max(self) -> int:
        """Longest key of the tenant that can be stored; each zero byte in it counts twice."""
        return self._key_bytes_max - TENANT_BYTES - HISTORY_OVERHEAD_BYTES

    def key(self, key: bytes) -> bytes:
        """Return the store's key for reading; no stored key has an impossible length."""
        return self.prefix + key

    def keys(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the store's keys for reading."""
        prefix = self.prefix
        return [prefix + key for key in keys]

    def written_keys(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the store's keys for writing. Raises: KeyTooLong."""
        prefix, safe = self.prefix, self._key_bytes_safe
        result = [prefix + key for key in keys]
        for key in result:
            if len(key) > safe and stored_key_bytes(key) > self._key_bytes_max:
                raise self._too_long(key)
        return result

    def span(self, start: bytes, end: bytes) -> Span:
        """Return the store's span for the tenant's [start, end); empty `end` means its last key."""
        return Span(self.prefix + start, self.prefix + end if end else self.end)

    def advisory_keys(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the lock table's keys for advisory locks of the tenant."""
        prefix = _ADVISORY + self.prefix
        return [prefix + key for key in keys]

    def strip(self, key: bytes) -> bytes:
        """Return the tenant's own key, stored or advisory."""
        if key.startswith(_ADVISORY):
            key = key[len(_ADVISORY) :]
        assert key.startswith(self.prefix), "a key of another tenant must never get here"
        return key[TENANT_BYTES:]

    def _too_long(self, key: bytes) -> KeyTooLong:
        limit = self.key_bytes_max
        return KeyTooLong(
            f"key of {len(key) - TENANT_BYTES} bytes exceeds the limit of {limit} bytes "
            "(zero bytes count twice)",
            key=key[TENANT_BYTES:],
            number=limit,
        )
