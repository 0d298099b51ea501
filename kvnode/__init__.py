"""The shared storage process. Start with ``main.py``."""
