"""The KV contract as Python: ids, timestamps, keys, spans, row layout, errors, frames, client.

Start with `keys.py` and `row_layout.py`; `client/kv_client.py` talks to a KV node.
"""
