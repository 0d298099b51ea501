"""Descriptors of tables, indexes, roles; loaded as one immutable snapshot; pg_catalog on top."""
