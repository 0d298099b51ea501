"""Versions: newest apart from history. Pure logic over an engine snapshot."""
