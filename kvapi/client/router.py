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
from typing import Any, Final, Protocol

from kvapi.client import operations as ops
from kvapi.client.config import ClientConfig
from kvapi.client.range_cache import ENTRIES_MAX, KnownRange, RangeCache
from kvapi.client.request_keys import BINDING, OF_A_TXN, TOUCHED, TYING, first_key
from kvapi.client.request_stream import AnyFuture, CancellableFuture, RequestStream
from kvapi.client.spanning_reads import SpanningReads
from kvapi.client.txn_places import TxnPlaces, spans_nodes
from kvapi.errors import ConnectionLost, KvError, NotLeaseholder, SpansNodes, Unavailable
from kvapi.pb import kv_pb2
from kvapi.spans import Span

_HOPS_MAX: Final = 32  # redirects of one request
_LEARN_MAX: Final = 256  # ranges asked for at once
_PEERS_MAX: Final = 1000


class Peer(Protocol):
    """A client of another node, without a router of its own."""

    @property
    def stream(self) -> RequestStream:
        """The stream to the node."""
        ...

    def set_credential(self, credential: bytes) -> None:
        """Use a credential from the next connection on."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class _Asked(CancellableFuture):
    """The router's own future: NotLeaseholder comes back to it."""


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
        self.cache = RangeCache()
        self._peers: dict[str, Peer] = {}
        self._places = TxnPlaces(address, self.stream, self.holder)
        self._reads = SpanningReads(self)
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
            self._end_with(operation, future, request)
            self._spawn(self._follow(operation, future, request, error))

    def set_credential(self, credential: bytes) -> None:
        """Use a credential for every node from the next connection on."""
        self.credential = credential
        for peer in self._peers.values():
            peer.set_credential(credential)

    def forget(self, txn_id: bytes) -> None:
        """Roll a transaction back where it has locks: its client gave it up."""
        address = self._places.address_of(txn_id)
        self._places.end(txn_id, address)
        if address != self._address:
            self._roll_back(txn_id, address)

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
        self._end_with(operation, future, request)
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
            holders = {known.address for known in self.cache.overlapping(span)}
            begin = self.holder_of_begin(span, reverse=request.scan.reverse)
            return None if holders - {begin} else self.stream(begin)
        if name in OF_A_TXN:
            return self._stream_of_txn(request.txn_id, name)
        if name not in TOUCHED:
            return self._home
        holders = self._holders(request, name)
        if len(holders) > 1:
            if name == "multi_get":
                return None
            raise spans_nodes()
        address = next(iter(holders), self._address)
        if request.txn_id and name in BINDING:  # reads go where their rows are
            self._place(request, name, address, names_rows=bool(holders))
        return self.stream(address)

    def _holders(self, request: kv_pb2.Request, name: str) -> set[str]:
        touched = TOUCHED[name](request)
        holders = {self.holder(key) for key in touched.keys}
        for start, end in touched.spans:
            span = Span(start, end)
            holders |= {known.address for known in self.cache.overlapping(span)}
            holders.add(self.holder(start))
        return holders

    def holder(self, key: bytes) -> str:
        """Return who holds a key, as far as is known."""
        known = self.cache.find(key)
        return self._address if known is None else known.address

    def holder_of_begin(self, span: Span, *, reverse: bool) -> str:
        """Return who holds the keys at which a scan begins, as far as is known."""
        if not reverse:
            return self.holder(span.start)
        known = self.cache.find_before(span.end)
        return self._address if known is None else known.address

    def stream(self, address: str) -> RequestStream:
        """Return the stream to a node. Raises: Unavailable."""
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

    def _place(self, request: kv_pb2.Request, name: str, address: str, *, names_rows: bool) -> None:
        """Keep a transaction on one node. Raises: SpansNodes, ConnectionLost."""
        txn_id, places = request.txn_id, self._places
        if name == "lock" and not names_rows:
            places.tie_advisory(txn_id)
        elif names_rows:
            places.check(txn_id, address)
        if name in TYING and names_rows:
            places.tie(txn_id, address, first_key(request, name))

    def _stream_of_txn(self, txn_id: bytes, name: str) -> RequestStream:
        address = self._places.address_of(txn_id)
        if name == "rollback":
            self._end(txn_id, address)
        return self.stream(address)

    def _end_with(
        self, operation: ops.Operation, future: AnyFuture, request: kv_pb2.Request
    ) -> None:
        """Let the transaction end when its commit has an outcome, whichever."""

        def ended(done: AnyFuture) -> None:
            failed = None if done.cancelled() else done.exception()
            if isinstance(failed, SpansNodes | ConnectionLost):  # its node does not know
                self.forget(request.txn_id)
            else:
                self._end(request.txn_id, self._places.address_of(request.txn_id))

        if operation is ops.COMMIT:
            future.add_done_callback(ended)

    def _end(self, txn_id: bytes, address: str) -> None:
        if self._places.end(txn_id, address):
            self._roll_back(txn_id, self._address)  # frees its advisory locks

    def _roll_back(self, txn_id: bytes, address: str) -> None:
        request = kv_pb2.Request(txn_id=txn_id)
        request.rollback.SetInParent()
        future = self._loop.create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.stream(address).submit(ops.ROLLBACK, future, request)

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
        known = self.cache.find(error.key)
        if known is not None and error.number and _says_as_much(known, error):
            return  # another request has asked meanwhile
        self.cache.drop(error.key)
        try:
            await self._learn_from(error.detail or self._address, error)
        except Unavailable:
            if not error.detail:
                raise
            await self._learn_from(self._address, error)
        self._set_awake(bool(self.cache.addresses() - {self._address}))

    async def _learn_from(self, address: str, error: NotLeaseholder) -> None:
        """Ask for a page of ranges, or for all where no node is hinted at (a scan was cut)."""
        position = error.key
        for _ in range(1 if error.detail else ENTRIES_MAX // _LEARN_MAX):
            request = kv_pb2.Request()
            request.ranges.start = position
            request.ranges.limit = _LEARN_MAX
            answer = await self.ask(self.stream(address), ops.RANGES, request)
            self.cache.add(
                KnownRange(found.start, found.end, found.generation, found.leaseholder or address)
                for found in answer
            )
            position = answer[-1].end if answer else b""
            if not position:
                return

    def _set_awake(self, is_needed: bool) -> None:
        is_awake = is_needed or not self._places.are_at_home()
        if is_awake == self._is_awake:
            return
        self._is_awake = is_awake
        tied = self._on_awake(is_awake)
        if is_awake:
            self._places.wake(tied)
        else:
            self._places.clear()

    # --- asking -------------------------------------------------------------------------------

    async def _perform(self, operation: ops.Operation, request: kv_pb2.Request) -> Any:
        target = self._target(request)
        if target is not None:
            return await self.ask(target, operation, request)
        if operation is ops.SCAN:
            return await self._reads.scan(request)
        return await self._reads.multi_get(request)

    def ask(
        self, stream: RequestStream, operation: ops.Operation, request: kv_pb2.Request
    ) -> AnyFuture:
        """Ask one node; NotLeaseholder comes back to who asks."""
        future = _Asked(loop=self._loop)
        stream.submit(operation, future, request)
        return future


def _says_as_much(known: KnownRange, error: NotLeaseholder) -> bool:
    """Tell whether what is known is as new as what a refusing node knew."""
    if known.generation == error.number:
        return known.address == error.detail
    return known.generation > error.number
