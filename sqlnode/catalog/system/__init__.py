"""pg_catalog and information_schema: definitions.py, then one module of rows for each subject."""
