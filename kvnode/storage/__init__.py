"""Engines: sorted byte maps with atomic durable batches. LMDB and memory pass one contract suite."""
