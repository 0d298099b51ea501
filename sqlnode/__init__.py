"""One tenant's SQL process. Start with ``main.py``."""
