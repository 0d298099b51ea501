"""The first frame of a stream: who is there."""

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
