"""The KV contract as Python: ids, timestamps, key encoding, spans, row layout, errors, frames. Start with ``keys.py`` and ``row_layout.py``."""
