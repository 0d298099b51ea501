"""COPY … FROM STDIN: lines from the client into a table, as they come.

**Model.** CopyInResponse first, then CopyData frames until CopyDone or CopyFail; complete lines are
loaded at once by rowexec's BulkLoader. Memory is bounded by the socket's back-pressure and the
transaction's write buffer.
"""

from collections.abc import Sequence
from typing import Final

from pgwire import frames
from pgwire.copy_format import CopyReader
from pgwire.copy_options import CopyOptions
from pgwire.errors import QueryCanceled
from pgwire.messages import copy_in_response
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.bulk import BulkLoader
from sqlnode.session.client_link import ClientGone
from sqlnode.session.session import Session

PIECE_BYTES: Final = 1 << 18


async def copy_from_client(
    session: Session, bound: Insert, column_names: Sequence[str], options: CopyOptions
) -> int:
    """Load what the client sends; return the row count. Raises: SqlError, KvError."""
    txn = session.block.begin_work()
    txn.used.add(session.block.catalog.tied_by_keys(bound.table.id))
    txn.statement = f"COPY {bound.table.name} FROM STDIN"
    reader = CopyReader(options, bound.table.name, column_names)
    loader = BulkLoader(bound, session.context(()))
    session.connection.begin_copy_in()
    session.out.add(copy_in_response(len(column_names)))
    session.out.flush()
    while True:
        data, end = await _next_piece(session)
        rows = reader.feed(data) if data else []
        if rows:
            await loader.add(rows, first_line=reader.batch_lines[0])
        match end:
            case frames.CopyDone():
                rows = reader.finish()
                if rows:
                    await loader.add(rows, first_line=reader.batch_lines[0])
                break
            case frames.CopyFail():
                raise QueryCanceled(
                    f"COPY from stdin failed: {end.message}",
                    context=f"COPY {bound.table.name}, line {loader.row_count + 1}",
                )
            case frames.Terminate():
                raise ClientGone
    session.connection.end_copy_in()
    return await loader.finish()


async def _next_piece(session: Session) -> tuple[bytes, frames.Frame | None]:
    """Return the data of all messages that are here, and the message that ended it, if any.

    Clients send a message for each line; loading many lines at once is many times cheaper.
    """
    parts: list[bytes] = []
    size = 0
    next_frame = session.connection.next_frame
    while True:
        frame = next_frame()
        if type(frame) is frames.CopyData:
            parts.append(frame.data)
            size += len(frame.data)
            if size < PIECE_BYTES:
                continue
        elif frame is None and not parts:
            await session.link.wait_data()
            continue
        end = None if type(frame) is frames.CopyData else frame
        return b"".join(parts), end
