"""The first frames of a stream: who is there, and what the client has to know."""

from kvapi.credential import verify
from kvapi.errors import BadRequest, CredentialRefused, ShuttingDown, TenantUnknown
from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION
from kvnode.core import Core
from kvnode.tenants.tenant import Tenant


def authenticate(core: Core, frame: kv_pb2.ClientFrame) -> Tenant:
    """Return the tenant of a hello. Raises: KvError."""
    if not frame.HasField("hello"):
        raise CredentialRefused("the first frame must be a hello with a credential")
    if frame.requests:
        raise BadRequest("a hello travels alone")
    if frame.hello.protocol_version != PROTOCOL_VERSION:
        raise BadRequest(
            f"protocol version {frame.hello.protocol_version} is not spoken here",
            number=PROTOCOL_VERSION,
        )
    if core.is_draining:
        raise ShuttingDown("the node is shutting down")
    identity = core.identity
    tenant = core.load_tenant(
        verify(
            identity.secret,
            cluster_id=identity.cluster_id,
            token=frame.hello.credential,
            now_s=core.now_s(),
        )
    )
    if tenant.record.is_dropping:
        raise TenantUnknown("the tenant was dropped")
    return tenant


def welcome(core: Core, tenant: Tenant) -> kv_pb2.ServerFrame:
    """Return the answer to a hello that was accepted."""
    reply = kv_pb2.HelloReply(
        catalog_version=tenant.catalog_version,
        newest_ts=core.timeline.durable_ts,
        credit_requests=core.config.credit_requests,
        frame_bytes_max=core.config.frame_bytes_max,
        server_epoch=core.epoch,
    )
    frame = kv_pb2.ServerFrame(hello=reply, catalog_version=tenant.catalog_version)
    if tenant.bucket is not None:
        frame.MergeFrom(limits_news(core, tenant))
    return frame


def limits_news(core: Core, tenant: Tenant) -> kv_pb2.ServerFrame:
    """Return a frame that tells of a tenant's limits as they are now."""
    bucket = tenant.bucket
    if bucket is None:
        return kv_pb2.ServerFrame(limits=kv_pb2.Limits())
    limits = bucket.limits
    news = kv_pb2.Limits(
        rate_ru_per_s=limits.rate_ru_per_s or 0.0,
        burst_ru_max=limits.burst_ru_max or 0.0,
        month_ru_max=limits.month_ru_max or 0.0,
        is_used_up=bucket.is_used_up(core.buckets.now()),
    )
    return kv_pb2.ServerFrame(limits=news)
