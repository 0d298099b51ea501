"""A KV node and its client, for whoever asks for them."""

from tests.fakes.kv_fixtures import client, server

__all__ = ["client", "server"]
