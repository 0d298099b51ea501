"""CatalogUse of one stream: what it still uses, and the oldest version that anybody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvapi.pb import kv_pb2

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession


class CatalogRequests:
    """Answers `CatalogUse`."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session

    def use(self, request: kv_pb2.Request) -> None:
        """Take note and answer, after the commits of older versions that are on their way."""
        session, request_id = self._session, request.id
        if version := request.catalog_use.oldest_version:
            session.tenant.catalog_use.users[session].oldest_version = version
        session.track(request_id, lambda _: None)
        session.core.group.after_queued(lambda: self._answer(request_id))

    def _answer(self, request_id: int) -> None:
        session = self._session
        session.outstanding.pop(request_id)
        if session.is_closed:
            return
        tenant = session.tenant
        oldest = tenant.catalog_use.oldest_in_use(tenant.catalog_version)
        session.respond(request_id).catalog_use.oldest_version = oldest
