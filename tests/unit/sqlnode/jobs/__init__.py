"""Online schema changes."""
