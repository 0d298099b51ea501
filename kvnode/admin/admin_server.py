"""The TenantAdmin service: gRPC in, tenant lifecycle out."""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from kvapi.credential import NONCE_BYTES, sign
from kvapi.errors import BadRequest, KvError, TenantSuspended, TenantUnknown
from kvapi.pb import admin_pb2, admin_pb2_grpc
from kvnode.admin.limits_calls import describe_limits, set_limits
from kvnode.admin.range_pages import list_ranges
from kvnode.admin.top_rows import top_rows
from kvnode.admin.usage_rows import usage_rows
from kvnode.core import Core
from kvnode.ranges.keeper import RangeKeeper
from kvnode.tenants.bucket_row import LimitsInvalid
from kvnode.tenants.lifecycle import NameInvalid, TenantExists, TenantLifecycle
from kvnode.tenants.records import TenantRecord, catalog_key, read_sizes, read_u64
from kvnode.tenants.tenant import Tenant

_PAGE_MAX: Final = 1000
_EVENTS_MAX: Final = 10_000  # unread by one watcher: it is disconnected and starts anew
_KINDS: Final = {
    "created": admin_pb2.TenantEvent.CREATED,
    "changed": admin_pb2.TenantEvent.CHANGED,
    "dropped": admin_pb2.TenantEvent.DROPPED,
}
_HEALTH_PREFIX: Final = "/grpc.health.v1."


class TokenGuard(grpc.aio.ServerInterceptor):
    """Lets nobody in without the admin token; health checks are open."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}"

        async def refuse(_request: Any, context: Any) -> NoReturn:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a valid admin token is needed")
            raise AssertionError("abort raises")

        self._refuse: Any = grpc.unary_unary_rpc_method_handler(refuse)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        """Let the call through, or answer UNAUTHENTICATED."""
        if details.method.startswith(_HEALTH_PREFIX):
            return await continuation(details)
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        text = given if isinstance(given, str) else ""
        if hmac.compare_digest(text.encode(), self._expected.encode()):
            return await continuation(details)
        return self._refuse


class TenantAdminService(admin_pb2_grpc.TenantAdminServicer):
    """Serves operators and the gateway."""

    def __init__(self, core: Core, lifecycle: TenantLifecycle, keeper: RangeKeeper) -> None:
        self._core = core
        self._keeper = keeper
        self._lifecycle = lifecycle
        self._watchers: set[asyncio.Queue[admin_pb2.TenantEvent | None]] = set()
        lifecycle.on_event = self._publish

    async def CreateTenant(self, request: Any, context: Any) -> Any:
        creation = self._lifecycle.create(
            request.name,
            request.user,
            request.scram_verifier,
            gc_ttl_s=request.gc_ttl_s if request.HasField("gc_ttl_s") else None,
        )
        return self._describe((await _run(creation, context)).record)

    async def GetTenant(self, request: Any, context: Any) -> Any:
        return self._describe((await self._find(request.name, context)).record)

    async def ListTenants(self, request: Any, context: Any) -> Any:
        if request.page_token and not request.page_token.isdecimal():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a page token of this node")
        size = min(request.page_size or _PAGE_MAX, _PAGE_MAX)
        after_id = int(request.page_token or 0)
        records = list(self._core.tenants.records(after_id=after_id, count_max=size + 1))
        page = records[:size]
        shown = [self._describe(record) for record in page if not record.is_dropping]
        token = str(page[-1].id) if len(records) > size else ""
        return admin_pb2.ListTenantsResponse(tenants=shown, next_page_token=token)

    async def SetTenant(self, request: Any, context: Any) -> Any:
        change = self._lifecycle.change(
            request.name,
            suspended=request.suspended if request.HasField("suspended") else None,
            gc_ttl_s=request.gc_ttl_s if request.HasField("gc_ttl_s") else None,
            weight=request.weight if request.HasField("weight") else None,
        )
        return self._describe((await _run(change, context)).record)

    async def SetPassword(self, request: Any, context: Any) -> Any:
        change = self._lifecycle.set_password(request.name, request.user, request.scram_verifier)
        await _run(change, context)
        return admin_pb2.Empty()

    async def DropTenant(self, request: Any, context: Any) -> Any:
        removed = await _run(self._lifecycle.drop(request.name), context)
        return admin_pb2.DropTenantResponse(keys_removed=removed)

    async def GetLogin(self, request: Any, context: Any) -> Any:
        tenant = await self._find(request.tenant, context)
        role = self._lifecycle.find_role(tenant, request.user)
        life_s = self._core.config.credential_life_s
        credential = sign(
            self._core.identity.secret,
            cluster_id=self._core.identity.cluster_id,
            tenant_id=tenant.id,
            expires_unix_s=int(self._core.now_s() + life_s),
            nonce=secrets.token_bytes(NONCE_BYTES),
        )
        return admin_pb2.Login(
            tenant_id=tenant.id,
            tenant_name=tenant.record.name,
            scram_verifier=role.scram_verifier if role is not None and role.can_login else "",
            credential=credential,
            credential_life_s=life_s,
            suspended=tenant.record.suspended,
            weight=tenant.record.weight,
        )

    async def GetLimits(self, request: Any, context: Any) -> Any:
        return describe_limits(self._core, await self._find(request.name, context))

    async def SetLimits(self, request: Any, context: Any) -> Any:
        tenant = await self._find(request.name, context)
        return await _run(set_limits(self._core, tenant, request), context)

    async def GetUsage(self, request: Any, context: Any) -> Any:
        tenant = await self._find(request.name, context)
        return usage_rows(self._core, tenant, request.day_count, by_statement=request.by_statement)

    async def GetTop(self, request: Any, context: Any) -> Any:
        del request, context
        return top_rows(self._core)

    async def ListRanges(self, request: Any, context: Any) -> Any:
        named = [await self._find(request.tenant, context)] if request.tenant else []
        if request.page_token and not request.page_token.isdecimal():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a page token of this node")
        return await list_ranges(self._core, self._keeper, named, int(request.page_token or 0))

    async def SplitRange(self, request: Any, context: Any) -> Any:
        tenant = await self._find(request.tenant, context)
        key = request.key if request.HasField("key") else None
        await _run(self._keeper.split(tenant, key), context)
        return admin_pb2.Empty()

    async def MergeRange(self, request: Any, context: Any) -> Any:
        tenant = await self._find(request.tenant, context)
        await _run(self._keeper.merge(tenant, request.range_id), context)
        return admin_pb2.Empty()

    async def WatchTenants(self, request: Any, context: Any) -> AsyncIterator[Any]:
        del request
        queue: asyncio.Queue[admin_pb2.TenantEvent | None] = asyncio.Queue(_EVENTS_MAX)
        self._watchers.add(queue)
        await context.send_initial_metadata(())  # the watcher learns that it misses nothing now
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watchers.discard(queue)

    def close(self) -> None:
        """End all watches."""
        for queue in list(self._watchers):
            self._end_watch(queue)

    def _publish(self, kind: str, tenant: Tenant) -> None:
        event = admin_pb2.TenantEvent(kind=_KINDS[kind], tenant=self._describe(tenant.record))
        for queue in list(self._watchers):
            if queue.full():
                self._end_watch(queue)
            else:
                queue.put_nowait(event)

    def _end_watch(self, queue: asyncio.Queue[admin_pb2.TenantEvent | None]) -> None:
        self._watchers.discard(queue)
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)

    async def _find(self, name: str, context: Any) -> Tenant:
        async def find() -> Tenant:
            tenant = self._core.tenants.find(name)
            if tenant.record.is_dropping:
                raise TenantUnknown(f'tenant "{name}" is being dropped')
            return tenant

        return await _run(find(), context)

    def _describe(self, record: TenantRecord) -> admin_pb2.Tenant:
        tenant = self._core.tenants.load(record.id)
        snapshot = self._core.timeline.snapshot()
        sizes = read_sizes(snapshot, tenant.prefix)
        return admin_pb2.Tenant(
            id=record.id,
            name=record.name,
            created_unix_ms=record.created_unix_ms,
            suspended=record.suspended,
            live_bytes=max(0, sizes.live_bytes),
            history_bytes=max(0, sizes.history_bytes),
            key_count=max(0, sizes.key_count),
            gc_ttl_s=record.gc_ttl_s,
            weight=record.weight,
            users=self._lifecycle.users(tenant),
            catalog_version=read_u64(snapshot, catalog_key(tenant.prefix)),
        )


async def _run(work: Awaitable[Any], context: Any) -> Any:
    """Await `work`; what it raises on purpose becomes a gRPC status."""
    try:
        return await work
    except TenantExists as error:
        status, message = grpc.StatusCode.ALREADY_EXISTS, str(error)
    except (NameInvalid, LimitsInvalid) as error:
        status, message = grpc.StatusCode.INVALID_ARGUMENT, str(error)
    except TenantUnknown as error:
        status, message = grpc.StatusCode.NOT_FOUND, error.message
    except (TenantSuspended, BadRequest) as error:
        status, message = grpc.StatusCode.FAILED_PRECONDITION, error.message
    except KvError as error:
        status, message = grpc.StatusCode.UNAVAILABLE, error.message
    await context.abort(status, message)
