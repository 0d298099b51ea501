"""TenantAdmin for commands: blocking calls, records as plain dicts, errors in words."""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc

from cli.errors import NOT_READY, CommandFailed
from cli.running_stack import RunningStack
from kvapi.pb import admin_pb2, admin_pb2_grpc

_CALL_S_MAX: Final = 30.0
_DROP_S_MAX: Final = 600.0
_PAGE_SIZE: Final = 1_000


class AdminClient:
    """Administer the tenants of one stack."""

    def __init__(self, stack: RunningStack) -> None:
        self._channel = grpc.insecure_channel(stack.admin)
        self._stub: Any = admin_pb2_grpc.TenantAdminStub(self._channel)
        self._metadata = (("authorization", f"Bearer {stack.admin_token}"),)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def create(
        self, name: str, *, user: str, verifier: str, gc_ttl_s: float | None = None
    ) -> dict[str, Any]:
        """Create a tenant and its owner."""
        request = admin_pb2.CreateTenantRequest(name=name, user=user, scram_verifier=verifier)
        if gc_ttl_s is not None:
            request.gc_ttl_s = gc_ttl_s
        return _tenant(self._call(self._stub.CreateTenant, request))

    def get(self, name: str) -> dict[str, Any]:
        """Return one tenant."""
        return _tenant(self._call(self._stub.GetTenant, admin_pb2.GetTenantRequest(name=name)))

    def list(self) -> list[dict[str, Any]]:
        """Return all tenants, page by page."""
        tenants: list[dict[str, Any]] = []
        token = ""
        while True:
            request = admin_pb2.ListTenantsRequest(page_size=_PAGE_SIZE, page_token=token)
            reply = self._call(self._stub.ListTenants, request)
            tenants += [_tenant(tenant) for tenant in reply.tenants]
            token = reply.next_page_token
            if not token:
                return tenants

    def set(
        self,
        name: str,
        *,
        is_suspended: bool | None = None,
        gc_ttl_s: float | None = None,
        weight: float | None = None,
    ) -> dict[str, Any]:
        """Change a tenant's settings; None leaves one as it is."""
        request = admin_pb2.SetTenantRequest(name=name)
        if is_suspended is not None:
            request.suspended = is_suspended
        if gc_ttl_s is not None:
            request.gc_ttl_s = gc_ttl_s
        if weight is not None:
            request.weight = weight
        return _tenant(self._call(self._stub.SetTenant, request))

    def set_password(self, name: str, *, user: str, verifier: str) -> None:
        """Set a user's password; a user that does not exist is created as owner."""
        request = admin_pb2.SetPasswordRequest(name=name, user=user, scram_verifier=verifier)
        self._call(self._stub.SetPassword, request)

    def drop(self, name: str) -> int:
        """Remove a tenant with every byte of it; return how many keys that were."""
        request = admin_pb2.DropTenantRequest(name=name)
        reply = self._call(self._stub.DropTenant, request, limit_s=_DROP_S_MAX)
        removed: int = reply.keys_removed
        return removed

    def get_limits(self, name: str) -> dict[str, Any]:
        """Return a tenant's limits, and how it stands with them."""
        request = admin_pb2.GetLimitsRequest(name=name)
        return _limits(self._call(self._stub.GetLimits, request))

    def set_limits(self, name: str, **limits: float) -> dict[str, Any]:
        """Set limits by their names in SetLimitsRequest; 0 removes one."""
        request = admin_pb2.SetLimitsRequest(name=name, **limits)
        return _limits(self._call(self._stub.SetLimits, request))

    def ranges(self, tenant: str = "") -> Iterator[admin_pb2.Range]:
        """Yield the ranges of one tenant, or of all, page by page."""
        token = ""
        while True:
            request = admin_pb2.ListRangesRequest(tenant=tenant, page_token=token)
            reply = self._call(self._stub.ListRanges, request)
            yield from reply.ranges
            token = reply.next_page_token
            if not token:
                return

    def usage(
        self, tenant: str, *, day_count: int, by_statement: bool
    ) -> Sequence[admin_pb2.UsageRow]:
        """Return what a tenant is billed: its days, or its statements."""
        request = admin_pb2.GetUsageRequest(
            name=tenant, day_count=day_count, by_statement=by_statement
        )
        rows: Sequence[admin_pb2.UsageRow] = self._call(self._stub.GetUsage, request).rows
        return rows

    def top(self) -> admin_pb2.GetTopResponse:
        """Return who uses the KV node now."""
        found: admin_pb2.GetTopResponse = self._call(self._stub.GetTop, admin_pb2.Empty())
        return found

    def split_range(self, tenant: str, *, key: bytes | None) -> None:
        """Split the range that holds `key` there; None: the largest, in the middle."""
        request = admin_pb2.SplitRangeRequest(tenant=tenant, key=key)
        self._call(self._stub.SplitRange, request)

    def merge_range(self, tenant: str, *, range_id: int) -> None:
        """Join a range with its right neighbour."""
        request = admin_pb2.MergeRangeRequest(tenant=tenant, range_id=range_id)
        self._call(self._stub.MergeRange, request)

    def _call(self, method: Any, request: Any, *, limit_s: float = _CALL_S_MAX) -> Any:
        try:
            return method(request, timeout=limit_s, metadata=self._metadata)
        except grpc.RpcError as error:
            unavailable = error.code() is grpc.StatusCode.UNAVAILABLE
            raise CommandFailed(
                error.details() or str(error.code()), exit_code=NOT_READY if unavailable else 1
            ) from error


@contextlib.contextmanager
def administering(stack: RunningStack) -> Iterator[AdminClient]:
    """Open TenantAdmin for the length of the block."""
    try:
        client = AdminClient(stack)
    except OSError as error:
        raise CommandFailed(f"cannot read the admin token: {error}") from error
    try:
        yield client
    finally:
        client.close()


def _limits(limits: admin_pb2.TenantLimits) -> dict[str, Any]:
    """Return a record; None: no such limit."""
    has_rate = limits.rate_ru_per_s > 0
    return {
        "name": limits.name,
        "rate_ru_per_s": limits.rate_ru_per_s or None,
        "burst_ru_max": limits.burst_ru_max if has_rate else None,
        "balance_ru": round(limits.balance_ru, 3) if has_rate else None,
        "debt_ru": round(limits.debt_ru, 3) if has_rate else None,
        "month_ru_max": limits.month_ru_max or None,
        "month_used_ru": round(limits.month_used_ru, 3) if limits.month_ru_max else None,
        "month_reached": limits.month_reached if limits.month_ru_max else None,
        "consumed_ru": round(limits.consumed_ru, 3),
        "throttled_s": round(limits.throttled_s, 3),
        "processes": limits.client_count,
    }


def _tenant(tenant: admin_pb2.Tenant) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(tenant.created_unix_ms / 1e3, tz=datetime.UTC)
    return {
        "id": tenant.id,
        "name": tenant.name,
        "created": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "suspended": tenant.suspended,
        "users": list(tenant.users),
        "live_bytes": tenant.live_bytes,
        "history_bytes": tenant.history_bytes,
        "key_count": tenant.key_count,
        "gc_ttl_s": tenant.gc_ttl_s,
        "weight": tenant.weight,
        "catalog_version": tenant.catalog_version,
    }
