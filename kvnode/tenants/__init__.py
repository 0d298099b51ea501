"""Tenant records, credentials, lifecycle."""
