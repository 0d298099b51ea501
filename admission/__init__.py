"""Overload control as a library: whose turn it is, how much may be done, and what it costs.

Read `queue.py` first. Everything is plain logic on values: no SQL, no gRPC, no event loop, and time
is an argument.

    queue.py          whose turn it is: tenants by recent use over weight
    cpu_tokens.py     how much CPU the node gives out, in two tiers of privilege
    elastic_cpu.py    how much of it background work gets
    io_tokens.py      how much may be written to disk
    tiers.py          the buckets under cpu_tokens, elastic_cpu and io_tokens
    token_bucket.py   a tenant's RU per second: the balance, in the KV node
    token_client.py   the same: the local tokens, in each SQL process
    budget.py         a tenant's RU per month, and when to say something
    cost_model.py     what one RU is
    fairness.py       how evenly something was shared

**What is used where.** The KV node has the queue, `cpu_tokens` and `elastic_cpu` in the path of
every request, and `io_tokens` before bulk writes (`kvnode/admission/`). `token_bucket` is in
`kvnode/tenants/` with `budget`, `token_client` and `cost_model` are in SQL processes.
"""
