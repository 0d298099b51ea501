"""pg_insula: what PostgreSQL has no relation for."""

import math
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from kvapi import layout
from kvapi.latency import FINE_BUCKETS, fine_bound_s
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.context import ExecContext
from sqlnode.jobs.job_rows import job_fields
from sqlnode.jobs.record import decode_job


@rows_of("pg_insula.jobs")
async def _jobs(catalog: Catalog, context: ExecContext) -> list[dict[str, Any]]:
    """Jobs as of the transaction's snapshot; that they go on makes nobody's commit fail."""
    found = []
    async with aclosing(context.txn.unvalidated().scan_blocks(layout.JOBS_SPAN)) as blocks:
        async for block in blocks:
            found += [job_fields(decode_job(value)) for value in block.values_list()]
    return found


@rows_of("pg_insula.statement_latencies")
def _statement_latencies(catalog: Catalog, context: ExecContext) -> Iterator[dict[str, Any]]:
    """Yield how many calls of each entry of pg_stat_statements took how long, waiting included."""
    for entry in context.session.statements or ():
        for bucket, calls in sorted(entry.exec_counts.items()):
            is_last = bucket == FINE_BUCKETS - 1
            yield {
                "queryid": entry.query_id,
                "query": entry.text,
                "shorter_than_ms": math.inf if is_last else fine_bound_s(bucket) * 1e3,
                "calls": calls,
            }
