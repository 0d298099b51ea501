"""Unit tests of the function tables."""
