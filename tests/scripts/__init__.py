"""Readable transcripts of state machines: `*.txt`, run by `runner.py`."""
