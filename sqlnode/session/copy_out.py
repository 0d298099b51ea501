"""COPY … TO STDOUT: a query's rows to the client as text or csv."""

from contextlib import aclosing

from pgwire.copy_options import CopyOptions
from pgwire.copy_writer import CopyWriter
from pgwire.messages import COPY_DONE, copy_data, copy_out_response
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
    row_count = 0
    async with aclosing(plan.executable.run(session.context(()))) as batches:
        async for rows in batches:
            if plan.reg_columns:
                rows = session.with_names(rows, plan.reg_columns)
            # One message for each line: clients that read by message get a line each.
            for line in writer.encode(rows).splitlines(keepends=True):
                out.add(copy_data(line))
            row_count += len(rows)
            await out.relieve()
    out.add(COPY_DONE)
    return row_count
