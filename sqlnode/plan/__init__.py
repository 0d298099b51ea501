"""Names and PostgreSQL types for every expression; logical plans. Pure."""
