"""LOCK TABLE, in the modes that leave other sessions' reading and writing alone.

**Model.** Statements take no lock on their table as a whole: that would cost each of them a round
trip. So a mode that has to keep them out is refused by name rather than taken without effect. The
others are taken as an advisory lock on the table, to the end of the transaction.

Source: PostgreSQL docs, "Table-Level Locks".
"""

from collections.abc import Sequence
from typing import Final

from kvapi.client.lock_calls import LockMode
from pgwire.errors import FeatureNotSupported, LockNotAvailable, UndefinedTable
from sqlnode.advisory_locks import table_lock_key
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.parse import utility as u
from sqlnode.parse.query_syntax import TableRef
from sqlnode.session.session import Session
from sqlnode.session.transaction_commands import require_block
from sqlnode.txn_locks import LockWish

# ACCESS SHARE, ROW SHARE and ROW EXCLUSIVE conflict with refused modes only.
_MODES: Final[dict[str, LockMode]] = {
    "access share": "key shared",
    "row share": "key shared",
    "row exclusive": "key shared",
    "share update exclusive": "no key exclusive",
}


def named_tables(session: Session, refs: Sequence[TableRef]) -> list[TableDesc]:
    """Return the tables a command names. Raises: UndefinedTable."""
    tables = []
    for ref in refs:
        name, schema = ref.name[-1], ref.name[-2] if len(ref.name) > 1 else None
        found = session.block.catalog.find_relation(name, schema, session.info.search_path)
        if not isinstance(found, TableDesc):
            raise UndefinedTable(
                f'relation "{".".join(ref.name)}" does not exist', position=ref.position or None
            )
        tables.append(found)
    return tables


async def lock_table(session: Session, node: u.LockTable) -> str:
    """LOCK TABLE. Raises: FeatureNotSupported, LockNotAvailable, KvError."""
    require_block(session, "LOCK TABLE")
    tables = named_tables(session, node.tables)
    mode = _MODES.get(node.mode)
    if mode is None:
        raise FeatureNotSupported(
            f"LOCK TABLE in {node.mode.upper()} MODE is not supported",
            hint="Transactions are serializable without it. To keep others waiting, lock rows "
            "with SELECT … FOR UPDATE, or use pg_advisory_xact_lock.",
        )
    txn = session.block.begin_work()
    timeout_ms = lock_timeout_ms(session.context(()))
    for table in tables:
        wish = LockWish(mode, "skip" if node.nowait else "block", timeout_ms, "LOCK TABLE")
        if not await txn.locks.lock_advisory(table_lock_key(table.id), wish):
            raise LockNotAvailable(f'could not obtain lock on relation "{table.name}"')
    return "LOCK TABLE"
