"""Tokens of one stream: a SQL process of a limited tenant asks for request units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from admission.token_bucket import TokenGrant, TokenRequest
from kvapi.errors import BadRequest, KvError
from kvapi.pb import kv_pb2
from kvnode.tenants.bucket_row import RU_MAX
from kvnode.tenants.tenant import Tenant

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_PERIOD_S_MIN: Final = 0.1
_PERIOD_S_MAX: Final = 60.0
_AMOUNTS: Final = (
    "wanted_ru",
    "consumed_ru",
    "borrowed_ru",
    "demand_ru_per_s",
    "waiting",
    "throttled_s",
)


class TokenRequests:
    """Answers `Tokens`, and tells the client when the limits change."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"tokens": self._ask}

    def news(self) -> kv_pb2.ServerFrame:
        """Return a frame that tells of the limits as they are now."""
        tenant, now_s = self._session.tenant, self._session.core.now_s()
        return kv_pb2.ServerFrame(limits=limits_to_proto(tenant, now_s))

    def _ask(self, request: kv_pb2.Request) -> None:
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


def limits_to_proto(tenant: Tenant, now_s: float) -> kv_pb2.Limits:
    """Return a tenant's limits as its SQL processes are told of them."""
    bucket = tenant.bucket
    if bucket is None:
        return kv_pb2.Limits()
    limits = bucket.limits
    return kv_pb2.Limits(
        rate_ru_per_s=limits.rate_ru_per_s or 0.0,
        burst_ru_max=limits.burst_ru_max or 0.0,
        month_ru_max=limits.month_ru_max or 0.0,
        is_used_up=bucket.is_used_up(now_s=now_s),
    )


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
