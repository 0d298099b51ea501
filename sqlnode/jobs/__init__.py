"""Online schema changes as jobs: rows that any SQL process of the tenant can carry on.

Read record.py, then runner.py; build_index.py and add_constraint.py are the two kinds of work.
"""
