"""COPY … TO STDOUT: a query's rows to the client as text or csv.

An export takes what others leave of the KV node: its scans are elastic, unless somebody may wait
for what its transaction has written or locked, or is going to.
"""

from contextlib import aclosing

from pgwire.copy_options import CopyOptions
from pgwire.copy_writer import CopyWriter
from pgwire.messages import COPY_DONE, copy_data, copy_out_response
from sqlnode.jobs.work import ELASTIC
from sqlnode.planner import Plan
from sqlnode.session.session import Session


async def copy_to_client(session: Session, plan: Plan, options: CopyOptions) -> int:
    """Send a query's rows; return how many. Raises: SqlError, KvError."""
    out = session.out
    writer = CopyWriter(
        options,
        [column.name for column in plan.columns],
        plan.column_oids,
        session.parameters.settings,
    )
    txn = session.block.begin_work()
    txn.used.add(plan.relations)
    txn.statement = plan.text
    out.add(copy_out_response(len(plan.columns)))
    header = writer.header()
    if header:
        out.add(copy_data(header))
    if plan.is_read_only and not (txn.has_writes or txn.locks.has_any):
        txn.scan_priority = ELASTIC
    try:
        row_count = await _send_rows(session, plan, writer)
    finally:
        txn.scan_priority = 0
    out.add(COPY_DONE)
    return row_count


async def _send_rows(session: Session, plan: Plan, writer: CopyWriter) -> int:
    out, row_count = session.out, 0
    async with aclosing(plan.executable.run(session.context(()))) as batches:
        async for rows in batches:
            if plan.reg_columns:
                rows = session.with_names(rows, plan.reg_columns)
            # One message for each line: clients that read by message get a line each.
            for line in writer.encode(rows).splitlines(keepends=True):
                out.add(copy_data(line))
            row_count += len(rows)
            await out.relieve()
    return row_count
