"""DuckDB over Arrow for the wide queries."""
