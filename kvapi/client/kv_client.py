"""The KV client: every operation of the contract as a future, over either transport.

**Model.** A call fills one request into the open frame and returns its future: no task, no
coroutine. What is called in one turn of the event loop travels in one frame. See
`request_stream.py` for batching and credit, `connection.py` for what happens when the connection
breaks.

**Invariants.** A lock dies with its stream. So a transaction that locked or staged on a connection
that broke is *broken*: everything but its rollback fails with ConnectionLost, because its commit
might overwrite what others wrote since.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from kvapi.client import operations as ops
from kvapi.client.catalog_calls import CatalogCalls, Relations, SchemaChange
from kvapi.client.commit_resolver import CommitResolver
from kvapi.client.config import ClientConfig
from kvapi.client.connection import Connection
from kvapi.client.counter_calls import CounterCalls
from kvapi.client.lock_calls import LockCalls
from kvapi.client.repeats import Repeats
from kvapi.client.request_stream import AnyFuture, CancellableFuture, RequestStream
from kvapi.client.results import Block, Got, Hello, MultiGot
from kvapi.client.router import Router
from kvapi.client.small_calls import SmallCalls
from kvapi.client.staging import Staging
from kvapi.client.transport import MakeTransport, MonotonicClock, make_transport
from kvapi.client.txn_ties import TxnTies, broken_error
from kvapi.errors import BadRequest, KvError
from kvapi.footprint import EMPTY_FOOTPRINT, Footprint
from kvapi.layout import CATALOG_CHANGED_KEY
from kvapi.pb import kv_pb2
from kvapi.spans import Span

Future = asyncio.Future
Writes = Mapping[bytes, bytes | None]  # None deletes


class KvClient(CounterCalls, SmallCalls):
    """Streams to the KV nodes of a tenant's ranges (`router.py`). Belongs to one event loop."""

    def __init__(
        self,
        address: str,
        *,
        config: ClientConfig,
        clock: MonotonicClock,
        make_transport: MakeTransport = make_transport,  # a simulation brings its own
    ) -> None:
        self.address = address
        self._loop = asyncio.get_running_loop()
        self._stream = RequestStream(config, clock.monotonic_s)
        self._connection = Connection(
            address, config, self._stream, clock.monotonic_s, make_transport
        )
        self._request = self._stream.request
        self._create_future = self._loop.create_future
        self._ties = TxnTies(self._stream)
        self.is_broken = self._ties.is_broken
        locks = LockCalls(self._stream, self._ties, self._long)
        self.lock, self.unlock = locks.lock, locks.unlock
        self.catalog_use = CatalogCalls(self._stream).catalog_use
        self._staging = Staging(self._stream, self._ties, config)
        self._resolver = CommitResolver(self.txn_status, wait_s_max=config.resolve_wait_s)
        self._stream.on_unresolved = self._resolver.resolve
        self._stream.on_throttled = Repeats(self._stream, config.throttled_wait_s).refused
        self._router = Router(
            address,
            self._stream,
            config,
            open_peer=lambda peer: KvClient(
                peer, config=config, clock=clock, make_transport=make_transport
            ),
            on_awake=self._route,
        )

    # --- connection ---------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the transport without a credential. Raises: Unavailable."""
        await self._connection.open()

    async def authenticate(self, credential: bytes) -> Hello:
        """Become the credential's tenant; reconnects use it as well.

        Raises: CredentialRefused, TenantSuspended, TenantUnknown, Unavailable.
        """
        self._router.set_credential(credential)
        return await self._connection.authenticate(credential)

    def set_credential(self, credential: bytes) -> None:
        """Use a renewed credential from the next connection on."""
        self._router.set_credential(credential)
        self._connection.set_credential(credential)

    async def close(self) -> None:
        """End the connection; what is outstanding fails."""
        await self._router.close()
        self._staging.close()
        await self._connection.close()
        await self._resolver.close()

    @property
    def stream(self) -> RequestStream:
        """The home node's stream, for the router."""
        return self._stream

    @property
    def catalog_version(self) -> int:
        """The newest catalog version seen in any frame."""
        return self._stream.catalog_version

    @property
    def on_catalog_version(self) -> Callable[[int], None] | None:
        """Called with each newer catalog version."""
        return self._stream.on_catalog_version

    @on_catalog_version.setter
    def on_catalog_version(self, callback: Callable[[int], None] | None) -> None:
        self._stream.on_catalog_version = callback

    @property
    def is_ready(self) -> bool:
        """True while there is a connection that accepted the credential."""
        return self._stream.is_open

    @property
    def outstanding_count(self) -> int:
        """Requests sent and not answered."""
        return self._stream.outstanding_count

    @property
    def queue_count(self) -> int:
        """Requests that wait for credit or a connection."""
        return self._stream.queue_count

    @property
    def connect_count(self) -> int:
        """How often a hello was accepted; 2 means one reconnect."""
        return self._connection.connect_count

    # --- reads --------------------------------------------------------------------------------

    # With `txn_id` a read sees what the transaction has staged, up to its layer `layer_max`. With
    # `relations`, all that the transaction uses, a `catalog_version` that is older may do.

    def get(
        self,
        key: bytes,
        *,
        read_ts: int = 0,
        catalog_version: int = 0,
        relations: Relations = (),
        txn_id: bytes = b"",
        layer_max: int = 0,
    ) -> Future[Got]:
        """Read one key. Cancelling is not told to the node: the answer is on its way already."""
        future = self._create_future()
        if txn_id:
            request = self._own(ops.GET_OWN, future, len(key), (txn_id, layer_max))
        else:
            request = self._request(ops.GET, future, len(key))
        request.get.key = key
        if read_ts:
            request.read_ts = read_ts
        if catalog_version:
            request.catalog_version = catalog_version
            if relations:
                request.relations.extend(relations)
        return future

    def multi_get(
        self,
        keys: Sequence[bytes],
        *,
        read_ts: int = 0,
        catalog_version: int = 0,
        relations: Relations = (),
        txn_id: bytes = b"",
        layer_max: int = 0,
    ) -> Future[MultiGot]:
        """Read several keys at one snapshot."""
        future = self._create_future()
        if txn_id:
            size = ops.keys_bytes(keys)
            request = self._own(ops.MULTI_GET_OWN, future, size, (txn_id, layer_max))
        else:
            request = self._request(ops.MULTI_GET, future, ops.keys_bytes(keys))
        request.read_ts = read_ts
        request.catalog_version = catalog_version
        request.relations.extend(relations)
        request.multi_get.keys.extend(keys)
        return future

    def scan(  # noqa: PLR0913  the operation of the contract, field by field
        self,
        span: Span,
        *,
        read_ts: int = 0,
        catalog_version: int = 0,
        relations: Relations = (),
        reverse: bool = False,
        limit_rows: int = 0,
        limit_bytes: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        priority: int = 0,
        txn_id: bytes = b"",
        layer_max: int = 0,
    ) -> Future[Block]:
        """Read rows of a span; `Block.more` and `Block.resume_span` say how to go on."""
        if txn_id and self._ties.is_broken(txn_id):
            return self._failed(broken_error())
        operation = ops.SCAN_OWN if txn_id else ops.SCAN
        future, request = self._long(operation, len(span.start) + len(span.end))
        if txn_id:
            request.txn_id, request.layer_max = txn_id, layer_max
        request.read_ts = read_ts
        request.catalog_version = catalog_version
        request.relations.extend(relations)
        request.priority = priority
        scan = request.scan
        scan.start, scan.end = span
        scan.reverse = reverse
        scan.limit_rows = limit_rows
        scan.limit_bytes = limit_bytes
        scan.keys_only = keys_only
        scan.count_only = count_only
        return future

    # --- transactions -------------------------------------------------------------------------

    def refresh(
        self,
        *,
        txn_id: bytes,
        read_ts: int,
        footprint: Footprint,
        catalog_version: int = 0,
        relations: Relations = (),
    ) -> Future[int]:
        """Validate a footprint now; the result is the new read_ts. Fails with WriteConflict."""
        if self._ties.is_broken(txn_id):
            return self._failed(broken_error())
        future, request = self._long(ops.REFRESH, ops.footprint_bytes(footprint))
        request.txn_id = txn_id
        request.read_ts = read_ts
        request.catalog_version = catalog_version
        request.relations.extend(relations)
        request.refresh.SetInParent()
        ops.fill_footprint(request.refresh.footprint, footprint)
        return future

    def stage(
        self,
        *,
        txn_id: bytes,
        writes: Writes,
        absent_keys: Collection[bytes] = (),
        layer: int = 1,
        statement: str = "",
    ) -> Future[None]:
        """Write part of a transaction ahead of its commit, durably, in chunks; it locks its rows.

        `absent_keys` are some of those written. Fails with KeyExists, Deadlock, RequestTooLarge,
        WriteConflict (the heartbeat lapsed), ConnectionLost, …: a part may be staged then.
        """
        return self._staging.stage(txn_id, writes, absent_keys, layer=layer, statement=statement)

    def unstage(self, *, txn_id: bytes, layer: int) -> Future[None]:
        """Drop what the transaction staged in the layers from `layer` on."""
        return self._staging.unstage(txn_id, layer)

    def commit(  # noqa: PLR0913  the operation of the contract, field by field
        self,
        *,
        txn_id: bytes,
        read_ts: int,
        catalog_version: int,
        relations: Relations = (),
        footprint: Footprint = EMPTY_FOOTPRINT,
        writes: Writes,
        absent_keys: Sequence[bytes] = (),
        schema_change: SchemaChange | None = None,
        priority: int = 0,
    ) -> Future[int]:
        """Validate and write, all or nothing; the result is the commit_ts.

        Writes too large for a frame are staged first. Fails with WriteConflict, KeyExists,
        SchemaChanged, …; CommitAmbiguous if the connection broke and the outcome could not be
        learned.
        """
        if not txn_id:
            return self._failed(BadRequest("a commit needs a transaction id"))
        if schema_change is not None:  # so that the catalog's version as of any time can be told
            writes = {**writes, CATALOG_CHANGED_KEY: b""}
        heads = ops.footprint_bytes(footprint) + ops.keys_bytes(absent_keys)

        def send(rest: Writes, absent: Sequence[bytes]) -> Future[int]:
            return self._commit(
                txn_id,
                (read_ts, catalog_version, relations, schema_change, priority),
                (footprint, rest, absent),
                heads + ops.writes_bytes(rest),
            )

        if not self._staging.must_stage(writes):
            return send(writes, absent_keys)
        return self._loop.create_task(
            self._commit_staged(txn_id, writes, absent_keys, send), name="kv-commit"
        )

    def rollback(self, *, txn_id: bytes) -> Future[None]:
        """Free the transaction's locks and staged writes; safe to call twice."""
        future = self._create_future()
        self._staging.forget(txn_id)
        if self._ties.forget(txn_id):
            self._router.forget(txn_id)
            future.set_result(None)  # the end of the stream freed them
            return future
        request = self._request(ops.ROLLBACK, future, 0)
        request.txn_id = txn_id
        request.rollback.SetInParent()
        return future

    # --- inside -------------------------------------------------------------------------------

    def _long(self, operation: ops.Operation, size: int) -> tuple[AnyFuture, kv_pb2.Request]:
        """Start a request that may take long: cancelling its future is told to the node."""
        future = CancellableFuture(loop=self._loop)
        request = self._request(operation, future, size)
        future.request_id = request.id
        future.on_cancel = self._stream.cancel
        return future, request

    def _own(
        self, operation: ops.Operation, future: AnyFuture, size: int, of: tuple[bytes, int]
    ) -> kv_pb2.Request:
        """Start a read that sees the staged writes of its transaction."""
        if self._ties.is_broken(of[0]):
            future.set_exception(broken_error())
            return kv_pb2.Request()
        request = self._request(operation, future, size)
        request.txn_id, request.layer_max = of
        return request

    def _commit(
        self,
        txn_id: bytes,
        terms: tuple[int, int, Relations, SchemaChange | None, int],
        content: tuple[Footprint, Writes, Sequence[bytes]],
        size: int,
    ) -> Future[int]:
        if self._ties.is_broken(txn_id):
            return self._failed(broken_error())
        self._ties.untie(txn_id)
        self._staging.forget(txn_id)
        future = self._create_future()
        request = self._request(ops.COMMIT, future, size)
        request.txn_id = txn_id
        request.read_ts, request.catalog_version, relations, change, request.priority = terms
        request.relations.extend(relations)
        footprint, writes, absent_keys = content
        commit = request.commit
        if change is not None:
            commit.schema_change, commit.keeps_previous = True, change.keeps_previous
            commit.changed.extend(change.relations)
        commit.absent_keys.extend(absent_keys)
        ops.fill_footprint(commit.footprint, footprint)
        ops.fill_writes(commit.writes, writes.items())
        return future

    async def _commit_staged(
        self,
        txn_id: bytes,
        writes: Writes,
        absent_keys: Sequence[bytes],
        send: Callable[[Writes, Sequence[bytes]], Future[int]],
    ) -> int:
        await self._staging.stage(txn_id, writes, absent_keys, layer=0, statement="COMMIT")
        return await send({}, [key for key in absent_keys if key not in writes])

    def _route(self, is_awake: bool) -> Sequence[bytes]:
        """Send requests through the router, or straight to the stream; return who is tied."""
        self._request = self._router.request if is_awake else self._stream.request
        return self._ties.tied()

    def _failed(self, error: KvError) -> AnyFuture:
        future = self._create_future()
        future.set_exception(error)
        return future
