"""Every function, operator and cast: PostgreSQL signature, Python closure, DuckDB text, side by side."""
