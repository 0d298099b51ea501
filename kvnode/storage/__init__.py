"""Engines: sorted byte maps with atomic durable writes. LMDB and memory pass one contract suite."""
