"""`make bench-noisy`: do neighbours notice? A quiet tenant beside noisy ones, and fair shares.

`main` runs the `scenarios` of `plan` against the `systems`: Insula with admission control, without
it, and PostgreSQL. `quiet` and `loads` are the clients' processes. `beside` measures what the quiet
tenant pays: it looks at the server through `watch` (latencies as the server has them, memory and
stalls of the KV node, `node`), and `kept` counts whether what was acknowledged is there. `shares`
measures who gets how much, `limits` what a tenant at its limit gets. `promises` says what holds;
`report` and `plots` write it down.
"""
