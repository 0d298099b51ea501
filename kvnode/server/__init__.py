"""Streams: one session per SQL process, over a Unix socket or gRPC. See `stream_session.py`."""
