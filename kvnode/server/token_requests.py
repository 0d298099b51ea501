"""Tokens of one stream: a SQL process of a limited tenant asks for request units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from admission.token_bucket import TokenGrant, TokenRequest
from kvapi.errors import BadRequest, KvError
from kvapi.pb import kv_pb2
from kvnode.tenants.bucket_row import RU_MAX

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_PERIOD_S_MIN: Final = 0.1
_PERIOD_S_MAX: Final = 60.0
_AMOUNTS: Final = (
    "wanted_ru",
    "consumed_ru",
    "borrowed_ru",
    "returned_ru",
    "demand_ru_per_s",
    "waiting",
    "throttled_s",
)


class TokenRequests:
    """Answers `Tokens`."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session

    def ask(self, request: kv_pb2.Request) -> None:
        """Grant, and answer when that is durable. Raises: BadRequest, Throttled."""
        session, request_id = self._session, request.id
        asked = _parsed(request.tokens)
        if session.tenant.bucket is None:
            session.respond(request_id).tokens.sequence = asked.sequence
            return
        session.track(request_id, lambda _: None)
        session.core.buckets.ask(
            session.tenant, asked, lambda grant, error: self._answer(request_id, grant, error)
        )

    def _answer(self, request_id: int, grant: TokenGrant, error: KvError | None) -> None:
        session = self._session
        session.outstanding.pop(request_id)
        if session.is_closed:
            return
        if error is not None:
            session.answer_error(request_id, error)
            return
        result = session.respond(request_id).tokens
        result.sequence = grant.sequence
        result.at_once_ru, result.trickle_ru = grant.at_once_ru, grant.trickle_ru
        result.trickle_s = grant.trickle_s
        result.fallback_ru_per_s = grant.fallback_ru_per_s


def _parsed(tokens: kv_pb2.Tokens) -> TokenRequest:
    """Return the request; a SQL process is not trusted. Raises: BadRequest."""
    amounts = {name: getattr(tokens, name) for name in _AMOUNTS}
    for name, amount in amounts.items():
        if not (math.isfinite(amount) and 0 <= amount <= RU_MAX):
            raise BadRequest(f"{name} must be from 0 to {RU_MAX:g}")
    if not _PERIOD_S_MIN <= tokens.period_s <= _PERIOD_S_MAX:  # NaN is refused as well
        raise BadRequest(f"period_s must be from {_PERIOD_S_MIN:g} to {_PERIOD_S_MAX:g}")
    return TokenRequest(
        client_id=tokens.client_id,
        sequence=tokens.sequence,
        period_s=tokens.period_s,
        **amounts,
    )
