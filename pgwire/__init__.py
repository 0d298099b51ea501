"""PostgreSQL wire protocol without I/O: bytes in, frames out. Start with ``connection.py``."""
