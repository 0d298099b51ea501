"""Checks what clients saw, knowing nothing of Insula: imports none of its packages.

Read `model.py` for what a history is, `graph.py` for the cycles of Adya's theory, `list_append.py`
for how they are derived, `invariants.py` for the anomalies that have a name of their own.
"""
