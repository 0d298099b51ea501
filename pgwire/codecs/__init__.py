"""Datums to bytes and back, for each type and format. Start with ``registry.py`` and ``rows.py``."""
