"""The insula command, one module per noun, and the supervisor."""
