"""Tests with real processes and ports; every wait has a deadline."""
