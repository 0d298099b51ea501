"""Datums to bytes and back, by type and format. Start with ``registry.py`` and ``rows.py``."""
