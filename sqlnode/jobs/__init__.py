"""Online schema changes as jobs: rows that any SQL process of the tenant can carry on.

Read record.py, then runner.py; build_index.py, add_constraint.py, change_column.py and
fill_column.py are the kinds of work.
"""
