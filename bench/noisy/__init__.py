"""`make bench-noisy`: do neighbours notice? A quiet tenant beside noisy ones, and fair shares.

`main` runs the scenarios of `plan` against the `systems`: Insula with admission control, without
it, and PostgreSQL. `quiet` and `loads` are the clients' processes. `beside` measures what the quiet
tenant pays, `shares` who gets how much; `report` and `plots` write it down.
"""
