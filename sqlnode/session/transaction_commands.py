"""BEGIN, COMMIT, ROLLBACK, savepoints, SET TRANSACTION. Each returns its command tag.

Source: PostgreSQL, src/backend/access/transam/xact.c (BeginTransactionBlock and kin).
"""

from pgwire.errors import (
    ActiveSqlTransaction,
    NoActiveSqlTransaction,
    ReadOnlySqlTransaction,
)
from sqlnode.session.parameter_table import PARAMETERS
from sqlnode.session.parameter_values import canonical
from sqlnode.session.session import Session
from sqlnode.session.statement_runner import commit, rollback
from sqlnode.session.transaction_block import BlockState, Modes, TransactionBlock

_NO_BLOCK = "there is no transaction in progress"


def begin(session: Session, modes: Modes) -> str:
    """BEGIN, START TRANSACTION. Raises: ReadOnlySqlTransaction, ActiveSqlTransaction."""
    block = session.block
    _check_past(session, modes)
    if block.is_block:
        session.out.notice(
            "WARNING", "there is already a transaction in progress", sqlstate="25001"
        )
        return "BEGIN"
    if not block.statement_count:
        session.begin_clock(session.now_micros())
    block.begin_block(modes)
    if modes.past is not None:
        txn = block.ensure()
        session.engine.keeper.keep(txn.txn_id, txn.read_ts)
    return "BEGIN"


async def commit_block(session: Session, *, chain: bool) -> str:
    """COMMIT; a failed block is rolled back and says so. Raises: SqlError, KvError."""
    block = session.block
    if not block.is_block:
        _warn_no_block(session, chain=chain, what="COMMIT AND CHAIN")
        if block.state is BlockState.IMPLICIT:
            await commit(session)
        return "COMMIT"
    modes, is_failed = block.modes, block.state is BlockState.FAILED
    if is_failed:
        await rollback(session)
    else:
        await commit(session)
    if chain:
        begin(session, modes)
    return "ROLLBACK" if is_failed else "COMMIT"


async def rollback_block(session: Session, *, chain: bool) -> str:
    """ROLLBACK."""
    block = session.block
    if not block.is_block:
        _warn_no_block(session, chain=chain, what="ROLLBACK AND CHAIN")
        if block.state is BlockState.IMPLICIT:
            await rollback(session)
        return "ROLLBACK"
    modes = block.modes
    await rollback(session)
    if chain:
        begin(session, modes)
    return "ROLLBACK"


def _warn_no_block(session: Session, *, chain: bool, what: str) -> None:
    if chain:
        raise NoActiveSqlTransaction(f"{what} can only be used in transaction blocks")
    session.out.notice("WARNING", _NO_BLOCK, sqlstate="25P01")


def require_block(session: Session, what: str) -> None:
    """Raise NoActiveSqlTransaction outside a block."""
    if not session.block.is_block:
        raise NoActiveSqlTransaction(f"{what} can only be used in transaction blocks")


def forbid_block(session: Session, what: str) -> None:
    """Raise ActiveSqlTransaction inside a block or a string of several statements."""
    if session.block.is_block:
        raise ActiveSqlTransaction(f"{what} cannot run inside a transaction block")
    if session.block.statement_count:
        raise ActiveSqlTransaction(f"{what} cannot be executed within a pipeline")


def savepoint(session: Session, name: str) -> str:
    """SAVEPOINT."""
    require_block(session, "SAVEPOINT")
    session.block.savepoint(name, tuple(session.portals.values()))
    return "SAVEPOINT"


def release(session: Session, name: str) -> str:
    """RELEASE SAVEPOINT."""
    require_block(session, "RELEASE SAVEPOINT")
    session.block.release(name)
    return "RELEASE"


async def rollback_to(session: Session, name: str) -> str:
    """ROLLBACK TO SAVEPOINT."""
    require_block(session, "ROLLBACK TO SAVEPOINT")
    kept = session.block.rollback_to(name)
    await session.close_portals(kept)
    session.parameters_changed()
    return "ROLLBACK"


def set_transaction(session: Session, modes: Modes) -> str:
    """SET TRANSACTION. Raises: ActiveSqlTransaction once the transaction has read."""
    block = session.block
    if not block.is_block:
        session.out.notice(
            "WARNING", "SET TRANSACTION can only be used in transaction blocks", sqlstate="25P01"
        )
        return "SET"
    _check_past(session, modes)
    _check_modes(block, modes)
    block.set_modes(modes)
    return "SET"


def _check_past(session: Session, modes: Modes) -> None:
    """Refuse AS OF SYSTEM TIME where it comes too late, or to a transaction that may write."""
    block = session.block
    past = modes.past or (block.past if block.is_block else None)
    if past is None:
        return
    if modes.read_only is False:
        raise ReadOnlySqlTransaction("AS OF SYSTEM TIME specified with READ WRITE mode")
    txn = block.txn
    if modes.past is None or block.past is modes.past or txn is None:
        return
    if (txn.read_ts and not txn.is_past) or txn.has_writes or block.statement_count:
        raise ActiveSqlTransaction("AS OF SYSTEM TIME must be called before any query")


def _check_modes(block: TransactionBlock, modes: Modes) -> None:
    """Refuse what comes too late. Source: PostgreSQL, src/backend/commands/variable.c."""
    present = block.txn.isolation if block.txn is not None else None
    wanted = "read committed" if modes.isolation == "read uncommitted" else modes.isolation
    if modes.isolation is not None and wanted != present:
        if block.has_queried:
            raise ActiveSqlTransaction(
                "SET TRANSACTION ISOLATION LEVEL must be called before any query"
            )
        if block.has_savepoints:
            raise ActiveSqlTransaction(
                "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"
            )
    if modes.read_only is False and block.is_read_only:
        if block.has_savepoints:
            raise ActiveSqlTransaction(
                "cannot set transaction read-write mode inside a read-only transaction"
            )
        if block.has_queried:
            raise ActiveSqlTransaction("transaction read-write mode must be set before any query")
    if modes.deferrable is not None:
        if block.has_savepoints:
            raise ActiveSqlTransaction(
                "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction"
            )
        if block.has_queried:
            raise ActiveSqlTransaction(
                "SET TRANSACTION [NOT] DEFERRABLE must be called before any query"
            )


def set_one_mode(session: Session, name: str, values: tuple[str, ...] | None) -> str:
    """SET transaction_isolation and its kin: the same as SET TRANSACTION. Raises: SqlError."""
    parameter = PARAMETERS[name]
    default = session.parameters.values["default_" + name]
    text = default if values is None else canonical(parameter, ", ".join(values))
    match name:
        case "transaction_isolation":
            return set_transaction(session, Modes(isolation=text))
        case "transaction_read_only":
            return set_transaction(session, Modes(read_only=text == "on"))
    return set_transaction(session, Modes(deferrable=text == "on"))


def set_characteristics(session: Session, modes: Modes) -> str:
    """SET SESSION CHARACTERISTICS AS TRANSACTION."""
    parameters = session.parameters
    if modes.isolation is not None:
        parameters.set("default_transaction_isolation", modes.isolation)
    if modes.read_only is not None:
        parameters.set("default_transaction_read_only", "on" if modes.read_only else "off")
    if modes.deferrable is not None:
        parameters.set("default_transaction_deferrable", "on" if modes.deferrable else "off")
    return "SET"
