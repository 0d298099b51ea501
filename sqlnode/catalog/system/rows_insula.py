"""pg_insula: what PostgreSQL has no relation for."""

from contextlib import aclosing
from typing import Any

from kvapi import layout
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
