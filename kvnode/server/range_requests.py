"""Ranges of one stream: which ranges the tenant has, and who holds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvapi.pb import kv_pb2

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_RANGES_MAX: Final = 1000  # of one answer


class RangeRequests:
    """Answers questions about ranges."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"ranges": self._ranges}

    def _ranges(self, request: kv_pb2.Request) -> None:
        ranges = self._session.tenant.ranges
        first = ranges.index_of(request.ranges.start)
        limit = min(request.ranges.limit or _RANGES_MAX, _RANGES_MAX)
        response = self._session.respond(request.id)
        response.ranges.more = first + limit < len(ranges.states)
        for state in ranges.states[first : first + limit]:
            descriptor = state.descriptor
            response.ranges.ranges.add(
                range_id=descriptor.range_id,
                start=descriptor.start,
                end=descriptor.end,
                generation=descriptor.generation,
                leaseholder="" if ranges.is_held(state) else descriptor.leaseholder,
            )
