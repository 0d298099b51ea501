"""rowexec: compiled Python for OLTP statements.

Start with query.py and dml.py; rows become bytes in table_codec.py.
"""
