"""Tokens: a process of a limited tenant asks for request units."""

import asyncio
from typing import Final, NamedTuple, Protocol

from kvapi.client.operations import OnLoss, Operation
from kvapi.client.request_stream import RequestStream
from kvapi.pb import kv_pb2


class TokenAsk(Protocol):
    """What a process asks; the fields are explained in admission/token_bucket.py."""

    @property
    def client_id(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def wanted_ru(self) -> float: ...
    @property
    def consumed_ru(self) -> float: ...
    @property
    def borrowed_ru(self) -> float: ...
    @property
    def returned_ru(self) -> float: ...
    @property
    def demand_ru_per_s(self) -> float: ...
    @property
    def waiting(self) -> float: ...
    @property
    def throttled_s(self) -> float: ...
    @property
    def period_s(self) -> float: ...


class TokensGot(NamedTuple):
    """What it got; if the tenant has no limits any more: nothing."""

    sequence: int
    at_once_ru: float
    trickle_ru: float
    trickle_s: float
    fallback_ru_per_s: float


def _got(response: kv_pb2.Response, _: kv_pb2.Request) -> TokensGot:
    tokens = response.tokens
    return TokensGot(
        tokens.sequence,
        tokens.at_once_ru,
        tokens.trickle_ru,
        tokens.trickle_s,
        tokens.fallback_ru_per_s,
    )


_TOKENS: Final = Operation("tokens", _got, OnLoss.FAIL)  # who asks repeats it by itself


class TokenCalls:
    """The token calls of one client: the home node has the tenant's bucket."""

    def __init__(self, stream: RequestStream) -> None:
        self._stream = stream

    def tokens(self, ask: TokenAsk) -> asyncio.Future[TokensGot]:
        """Ask for tokens. Fails with ConnectionLost; the same ask may be sent again."""
        future: asyncio.Future[TokensGot] = asyncio.get_running_loop().create_future()
        tokens = self._stream.request(_TOKENS, future, 128).tokens
        tokens.client_id, tokens.sequence = ask.client_id, ask.sequence
        tokens.wanted_ru, tokens.consumed_ru = ask.wanted_ru, ask.consumed_ru
        tokens.borrowed_ru, tokens.demand_ru_per_s = ask.borrowed_ru, ask.demand_ru_per_s
        tokens.waiting, tokens.throttled_s = ask.waiting, ask.throttled_s
        tokens.period_s, tokens.returned_ru = ask.period_s, ask.returned_ru
        return future
