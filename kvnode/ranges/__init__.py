"""Ranges: how a tenant's keys are cut up, what each part costs, and when the cuts change.

Read `policy.py` (when), then `range_map.py` (where), then `keeper.py` (how).
"""
