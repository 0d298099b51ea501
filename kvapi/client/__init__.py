"""The KV client: one stream, two transports, natural batching. Start with ``stream.py``."""
