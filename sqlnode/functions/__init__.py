"""Every function, operator and cast: PostgreSQL signature, Python, DuckDB text."""
