"""SQL semantics through a real client connection, in sqllogictest's format.

`slt_records.py` reads the format, `slt_runner.py` runs records on a connection;
`tests/e2e/test_slt.py` runs the files. The `.test.xz` files are SQLite's own (public domain).
"""
