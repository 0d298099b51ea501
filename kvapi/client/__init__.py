"""The KV client: one stream, two transports, natural batching. Start with `kv_client.py`."""
