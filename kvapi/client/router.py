"""Sends each request to the KV node that holds its keys; asleep while that is always the home node.

**Model.** A client has one home: the node it was made with. As long as that holds all that is
asked for, requests go straight to its stream and this module does nothing. The first answer
NOT_LEASEHOLDER wakes it: it asks the hinted node for its `Ranges`, remembers them, repeats the
request there, and from then on looks at every request (`request`) until all known ranges are the
home's again. MultiGet and Scan over several nodes are cut up and their answers joined.

    caller ─▶ request() ─ end of the turn ─▶ _target ─▶ the stream of one node
                                                │ several, or refused by the node
                                                └─▶ a task: learn, ask part by part, join

**Invariants.** NOT_LEASEHOLDER says that nothing happened, so any request may be repeated. A
transaction's locks and intents are on one node (`_places`); what would need a second one fails with
SpansNodes. Redirects are bounded in number and in time.

**Concurrency.** Owner: the event loop. Requests of one turn keep their order on each node.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple, Protocol

from kvapi.client import operations as ops
from kvapi.client.config import ClientConfig
from kvapi.client.joined_reads import block_bytes, join_blocks, join_values, take_keys
from kvapi.client.range_cache import KnownRange, RangeCache
from kvapi.client.request_keys import OF_A_TXN, TOUCHED, TYING, first_key
from kvapi.client.request_stream import AnyFuture, CancellableFuture, RequestStream
from kvapi.client.results import Block
from kvapi.errors import ConnectionLost, KvError, NotLeaseholder, SpansNodes, Unavailable
from kvapi.pb import kv_pb2
from kvapi.spans import Span

_HOPS_MAX: Final = 32  # redirects of one request
_LEARN_MAX: Final = 256  # ranges asked for at once
_PEERS_MAX: Final = 1000
_JOINED_BYTES_MAX: Final = 4 << 20  # of one scan's answer, as one node's
_LONG: Final = frozenset({ops.LOCK, ops.SCAN, ops.SCAN_PART, ops.STAGE, ops.REFRESH})


class Peer(Protocol):
    """A client of another node, without a router of its own."""

    stream: RequestStream

    def set_credential(self, credential: bytes) -> None:
        """Use a credential from the next connection on."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class _Asked(CancellableFuture):
    """The router's own future: NotLeaseholder comes back to it."""


class _Place(NamedTuple):
    """Where a transaction has locks or intents; `key` is one of them."""

    address: str
    loss_count: int
    key: bytes | None


class Router:
    """Routes the requests of one client."""

    def __init__(
        self,
        address: str,
        home: RequestStream,
        config: ClientConfig,
        *,
        open_peer: Callable[[str], Peer],
        on_awake: Callable[[bool], Iterable[bytes]],
    ) -> None:
        self._address = address
        self._home = home
        self._config = config
        self._open_peer = open_peer
        self._on_awake = on_awake  # answers the transactions that rely on the home's stream
        self._loop = asyncio.get_running_loop()
        self._cache = RangeCache()
        self._peers: dict[str, Peer] = {}
        self._places: dict[bytes, _Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_awake = False
        self.credential = b""
        self.redirect_count = 0
        home.on_elsewhere = self.redirected

    # --- the client's side --------------------------------------------------------------------

    def request(self, operation: ops.Operation, future: AnyFuture, size: int) -> kv_pb2.Request:
        """Return a new request for the caller to fill in now; it is routed after this turn."""
        del size
        request = kv_pb2.Request()
        self._loop.call_soon(self._dispatch, operation, future, request)
        return request

    def redirected(
        self, operation: ops.Operation, future: AnyFuture, request: kv_pb2.Request, error: KvError
    ) -> None:
        """Take over a request that a node did not hold the keys of."""
        if isinstance(future, _Asked) or not isinstance(error, NotLeaseholder):
            future.set_exception(error)
        else:
            self._spawn(self._follow(operation, future, request, error))

    def set_credential(self, credential: bytes) -> None:
        """Use a credential for every node from the next connection on."""
        self.credential = credential
        for peer in self._peers.values():
            peer.set_credential(credential)

    def forget(self, txn_id: bytes) -> None:
        """Roll a transaction back where it has locks: its client gave it up."""
        place = self._places.pop(txn_id, None)
        if place is not None and place.address != self._address:
            request = kv_pb2.Request(txn_id=txn_id)
            request.rollback.SetInParent()
            future = self._loop.create_future()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._stream(place.address).submit(ops.ROLLBACK, future, request)

    async def close(self) -> None:
        """End what is under way and the connections to other nodes."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self._peers.values():
            await peer.close()

    # --- where to -----------------------------------------------------------------------------

    def _dispatch(
        self, operation: ops.Operation, future: AnyFuture, request: kv_pb2.Request
    ) -> None:
        if future.done():
            return
        try:
            target = self._target(request)
        except KvError as error:
            future.set_exception(error)
            return
        if target is not None:
            target.submit(operation, future, request)
        else:
            self._spawn(self._follow(operation, future, request, None))

    def _target(self, request: kv_pb2.Request) -> RequestStream | None:
        """Return the one stream for a request, None if several have to be asked.

        Raises: SpansNodes, ConnectionLost.
        """
        name = request.WhichOneof("op") or ""
        if name == "scan":
            span = Span(request.scan.start, request.scan.end)
            holders = {known.address for known in self._cache.overlapping(span)}
            begin = self._holder_of_begin(span, reverse=request.scan.reverse)
            return None if holders - {begin} else self._stream(begin)
        if name in OF_A_TXN:
            return self._stream_of_txn(request.txn_id, name)
        if name not in TOUCHED:
            return self._home
        holders = self._holders(request, name)
        if len(holders) > 1:
            if name == "multi_get":
                return None
            raise SpansNodes("a transaction over ranges of several KV nodes")
        address = holders.pop() if holders else self._address
        if request.txn_id and (holders or name in TYING or name == "commit"):
            self._check_place(request, name, address)
        return self._stream(address)

    def _holders(self, request: kv_pb2.Request, name: str) -> set[str]:
        touched = TOUCHED[name](request)
        holders = {self._holder(key) for key in touched.keys}
        for start, end in touched.spans:
            span = Span(start, end)
            holders |= {known.address for known in self._cache.overlapping(span)}
            holders.add(self._holder(start))
        return holders

    def _holder(self, key: bytes) -> str:
        known = self._cache.find(key)
        return self._address if known is None else known.address

    def _holder_of_begin(self, span: Span, *, reverse: bool) -> str:
        if not reverse:
            return self._holder(span.start)
        known = self._cache.find_before(span.end)
        return self._address if known is None else known.address

    def _stream(self, address: str) -> RequestStream:
        if address == self._address:
            return self._home
        if (peer := self._peers.get(address)) is None:
            if len(self._peers) >= _PEERS_MAX:
                raise Unavailable("the ranges lie on too many KV nodes")
            peer = self._peers[address] = self._open_peer(address)
            peer.set_credential(self.credential)
            peer.stream.on_elsewhere = self.redirected
        return peer.stream

    # --- transactions -------------------------------------------------------------------------

    def _check_place(self, request: kv_pb2.Request, name: str, address: str) -> None:
        """Keep a transaction on one node. Raises: SpansNodes, ConnectionLost."""
        txn_id = request.txn_id
        place = self._places.get(txn_id)
        if place is not None:
            self._check_moved(place, address)
        if name == "commit":
            self._places.pop(txn_id, None)
        elif name in TYING and place is None:
            loss_count = self._stream(address).loss_count
            self._places[txn_id] = _Place(address, loss_count, first_key(request, name))

    def _check_moved(self, place: _Place, address: str) -> None:
        if self._stream(place.address).loss_count != place.loss_count:
            raise ConnectionLost("the connection that held the transaction's locks was lost")
        if place.address == address:
            return
        if place.key is None or self._holder(place.key) != place.address:
            raise ConnectionLost("the range that held the transaction's locks has moved")
        raise SpansNodes("a transaction over ranges of several KV nodes")

    def _stream_of_txn(self, txn_id: bytes, name: str) -> RequestStream:
        place = self._places.get(txn_id)
        if name == "rollback":
            self._places.pop(txn_id, None)
        return self._home if place is None else self._stream(place.address)

    # --- redirects ----------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name="kv-route")
        self._tasks.add(task)  # bounded by the requests that are outstanding
        task.add_done_callback(self._tasks.discard)

    async def _follow(
        self,
        operation: ops.Operation,
        future: AnyFuture,
        request: kv_pb2.Request,
        error: NotLeaseholder | None,
    ) -> None:
        """Ask until the right nodes answer; what comes of it is the future's."""
        this = asyncio.current_task()
        assert this is not None, "a coroutine runs in a task"
        future.add_done_callback(lambda done: done.cancelled() and this.cancel())
        try:
            result = await self._ask_until_held(operation, request, error)
        except KvError as failed:
            if not future.done():
                future.set_exception(failed)
        except asyncio.CancelledError:
            if not future.done():
                future.set_exception(Unavailable("the KV client is closed"))
            raise
        else:
            if not future.done():
                future.set_result(result)

    async def _ask_until_held(
        self, operation: ops.Operation, request: kv_pb2.Request, error: NotLeaseholder | None
    ) -> Any:
        until_s = self._loop.time() + self._config.connect_wait_s
        delay_s = self._config.backoff_s_min
        for hop in range(_HOPS_MAX):
            if error is not None:
                self.redirect_count += 1
                await self._learn(error)
            try:
                return await self._perform(operation, request)
            except NotLeaseholder as again:
                error = again
            if self._loop.time() > until_s:
                break
            if hop:  # a range on its way from node to node: give them a moment
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, self._config.backoff_s_max)
        raise Unavailable("the KV nodes send the request to and fro")

    async def _learn(self, error: NotLeaseholder) -> None:
        """Ask the hinted node who holds what, from the range on that was asked in vain."""
        known = self._cache.find(error.key)
        if known is not None and error.number and _says_as_much(known, error):
            return  # another request has asked meanwhile
        self._cache.drop(error.key)
        address = error.detail or self._address
        try:
            answer = await self._ranges(address, error.key)
        except Unavailable:
            if address == self._address:
                raise
            address = self._address
            answer = await self._ranges(address, error.key)
        self._cache.add(
            KnownRange(found.start, found.end, found.generation, found.leaseholder or address)
            for found in answer
        )
        self._set_awake(bool(self._cache.addresses() - {self._address}))

    async def _ranges(self, address: str, start: bytes) -> list[Any]:
        request = kv_pb2.Request()
        request.ranges.start = start
        request.ranges.limit = _LEARN_MAX
        return await self._ask(self._stream(address), ops.RANGES, request)

    def _set_awake(self, is_needed: bool) -> None:
        is_awake = is_needed or any(p.address != self._address for p in self._places.values())
        if is_awake == self._is_awake:
            return
        self._is_awake = is_awake
        loss_count = self._home.loss_count
        for txn_id in self._on_awake(is_awake):
            self._places[txn_id] = _Place(self._address, loss_count, None)
        if not is_awake:
            self._places.clear()

    # --- asking -------------------------------------------------------------------------------

    async def _perform(self, operation: ops.Operation, request: kv_pb2.Request) -> Any:
        target = self._target(request)
        if target is not None:
            return await self._ask(target, operation, request)
        if operation is ops.SCAN:
            return await self._scan(request)
        return await self._multi_get(request)

    def _ask(
        self, stream: RequestStream, operation: ops.Operation, request: kv_pb2.Request
    ) -> AnyFuture:
        future = _Asked(loop=self._loop)
        stream.submit(operation, future, request)
        return future

    async def _multi_get(self, request: kv_pb2.Request) -> Any:
        """Ask each node for its keys, all at the snapshot that the first one read at."""
        groups: dict[str, list[int]] = {}
        for position, key in enumerate(request.multi_get.keys):
            groups.setdefault(self._holder(key), []).append(position)
        parts = [
            (self._stream(address), positions, take_keys(request, positions))
            for address, positions in groups.items()
        ]
        stream, positions, part = parts[0]
        first = await self._ask(stream, ops.MULTI_GET, part)
        for _, _, part in parts:
            part.read_ts = first.read_ts
        others = await asyncio.gather(
            *(self._ask(stream, ops.MULTI_GET, part) for stream, _, part in parts[1:])
        )
        answers = [(positions, first)]
        answers += [(part[1], got) for part, got in zip(parts[1:], others, strict=True)]
        return join_values(len(request.multi_get.keys), answers, first.read_ts)

    async def _scan(self, request: kv_pb2.Request) -> Block:
        """Go from node to node until the span or a limit is reached."""
        part = kv_pb2.Request()
        part.CopyFrom(request)
        scan = part.scan
        span = Span(scan.start, scan.end)
        blocks: list[Block] = []
        while True:
            stream = self._stream(self._holder_of_begin(span, reverse=scan.reverse))
            block: Block = await self._ask(stream, ops.SCAN_PART, part)
            blocks.append(block)
            if not block.more or not block.resume or _is_full(request.scan, blocks):
                return join_blocks(blocks)
            span = block.resume_span(span)
            scan.start, scan.end = span
            part.read_ts = block.read_ts
            if scan.limit_rows:
                scan.limit_rows -= block.row_count
            if scan.limit_bytes:
                scan.limit_bytes = max(1, scan.limit_bytes - block_bytes(block))


def _is_full(scan: kv_pb2.Scan, blocks: list[Block]) -> bool:
    """Tell whether blocks fill what was asked for; where more is to come they hold a row."""
    row_count, size = sum(block.row_count for block in blocks), sum(map(block_bytes, blocks))
    if not row_count or scan.count_only:
        return False
    limit_bytes = scan.limit_bytes or _JOINED_BYTES_MAX
    return size >= limit_bytes or bool(scan.limit_rows and row_count >= scan.limit_rows)


def _says_as_much(known: KnownRange, error: NotLeaseholder) -> bool:
    """Tell whether what is known is as new as what a refusing node knew."""
    if known.generation == error.number:
        return known.address == error.detail
    return known.generation > error.number
