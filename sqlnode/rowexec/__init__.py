"""Compiled Python for OLTP shapes and all DML."""
