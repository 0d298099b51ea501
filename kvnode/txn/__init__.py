"""Locks, validation, group commit."""
