"""DDL: what a statement is about."""
