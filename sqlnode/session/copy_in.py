"""COPY … FROM STDIN: lines from the client into a table, as they come.

**Model.** CopyInResponse first, then CopyData frames until CopyDone or CopyFail; complete lines are
loaded at once by rowexec's BulkLoader. Memory is bounded by the socket's back-pressure and the
transaction's write buffer.
"""

from collections.abc import Sequence

from pgwire import frames
from pgwire.copy_format import CopyReader
from pgwire.copy_options import CopyOptions
from pgwire.errors import FeatureNotSupported, QueryCanceled
from pgwire.messages import copy_in_response
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.bulk import BulkLoader
from sqlnode.session.session import Session


async def copy_from_client(
    session: Session, bound: Insert, column_names: Sequence[str], options: CopyOptions
) -> int:
    """Load what the client sends; return the row count. Raises: SqlError, KvError."""
    txn = session.block.ensure()
    txn.statement = f"COPY {bound.table.name} FROM STDIN"
    reader = CopyReader(options, bound.table.name, column_names)
    loader = BulkLoader(bound, session.context(()))
    session.connection.begin_copy_in()
    session.out.add(copy_in_response(len(column_names)))
    session.out.flush()
    while True:
        frame = session.connection.next_frame()
        if frame is None:
            await session.link.wait_data()
            continue
        match frame:
            case frames.CopyData():
                rows = reader.feed(frame.data)
                if rows:
                    await loader.add(rows, first_line=reader.batch_lines[0])
            case frames.CopyDone():
                rows = reader.finish()
                if rows:
                    await loader.add(rows, first_line=reader.batch_lines[0])
                break
            case frames.CopyFail():
                raise QueryCanceled(
                    f"COPY from stdin failed: {frame.message}",
                    context=f"COPY {bound.table.name}, line {loader.row_count + 1}",
                )
            case frames.Terminate():
                raise FeatureNotSupported("unexpected EOF on client connection with COPY")
            case _:
                raise AssertionError("the connection lets nothing else through")
    session.connection.end_copy_in()
    return await loader.finish()
