"""Utility statements: what the session does itself.

One function decides by the node's class; what it calls is in the module of its subject.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pgwire.errors import FeatureNotSupported, UndefinedObject, WrongObjectType
from pgwire.messages import row_description
from sqlnode.parse import utility as u
from sqlnode.plan.logical import Columns
from sqlnode.planner import Plan
from sqlnode.rowexec.deferred_checks import check_deferred
from sqlnode.session import cursors, prepared_commands, transaction_commands
from sqlnode.session.as_of import find_past
from sqlnode.session.copy_command import run_copy
from sqlnode.session.describe import described_columns
from sqlnode.session.explain import explain
from sqlnode.session.lock_command import lock_table, named_tables
from sqlnode.session.run_ddl import run_ddl
from sqlnode.session.run_job import cancel_job, job_rows
from sqlnode.session.session import Session
from sqlnode.session.transaction_block import Modes

Rows = Sequence[tuple[Any, ...]]


async def run_utility(
    session: Session, plan: Plan, formats: Sequence[int], *, is_simple: bool = False
) -> str:
    """Run a utility statement; return its command tag. Raises: SqlError, KvError."""
    node = plan.bound.node  # type: ignore[union-attr]  # utility plans are bound to a Utility
    handler = _HANDLERS.get(type(node))
    if handler is not None:
        result = handler(session, node)
        return await result if isinstance(result, Awaitable) else result
    match node:
        case u.ShowVariable() | u.ShowJobs() | u.Explain():
            rows = await utility_rows(session, node)
            _send_rows(session, plan.columns, rows, formats, is_simple=is_simple)
            return node.kind
        case u.FetchCursor():
            columns, rows, tag = await cursors.fetch(session, node)
            if columns:
                _send_rows(session, columns, rows, formats, is_simple=is_simple)
            return tag
        case u.Execute():
            return await prepared_commands.execute(session, node, formats, is_simple=is_simple)
        case u.Maintenance():
            return _maintenance(session, node)
        case u.Grant():
            raise FeatureNotSupported(f"{node.kind} is not supported")
    return await run_ddl(session, node, plan.text)


def _send_rows(
    session: Session, columns: Columns, rows: Rows, formats: Sequence[int], *, is_simple: bool
) -> None:
    if is_simple:
        session.out.add(row_description(described_columns(columns, formats)))
    oids = tuple(column.type.oid for column in columns)
    session.out.add(session.encoders.rows(oids, tuple(formats))(rows))


async def utility_rows(session: Session, node: Any) -> Rows:
    """Return the rows of SHOW or EXPLAIN."""
    if isinstance(node, u.Explain):
        return [(line,) for line in await explain(session, node)]
    if isinstance(node, u.ShowJobs):
        return await job_rows(session, node)
    if node.name is None:
        return session.parameters.all()
    return [(session.parameters.show(node.name),)]


# SET, RESET, DISCARD


def _set(session: Session, node: u.SetVariable) -> str:
    parameters = session.parameters
    if node.is_local and not session.block.is_block:
        session.out.notice(
            "WARNING", "SET LOCAL can only be used in transaction blocks", sqlstate="25P01"
        )
        return "SET"
    if node.name in ("transaction_isolation", "transaction_read_only", "transaction_deferrable"):
        return transaction_commands.set_one_mode(session, node.name, node.values)
    session.block.protect_parameters()
    if node.name in ("role", "session_authorization"):
        _check_identity(session, node)
    elif node.values is None:
        parameters.reset(node.name, is_local=node.is_local)
    else:
        parameters.set(node.name, _joined(node), is_local=node.is_local)
    session.parameters_changed()
    return "SET"


def _joined(node: u.SetVariable) -> str:
    assert node.values is not None, "DEFAULT was handled"
    if node.name == "search_path":
        return ", ".join(_quoted(value) for value in node.values)
    return ", ".join(node.values)


def _quoted(name: str) -> str:
    if name.replace("_", "a").isalnum() and name == name.lower():
        return name
    return '"' + name.replace('"', '""') + '"'


def _check_identity(session: Session, node: u.SetVariable) -> None:
    """SET ROLE and SET SESSION AUTHORIZATION: only to what the session is already."""
    wanted = None if node.values is None else node.values[0]
    if wanted not in (None, "none", "default", session.info.user):
        raise FeatureNotSupported(f"SET {node.name.upper().replace('_', ' ')} is not supported")


def _reset(session: Session, node: u.ResetVariable) -> str:
    session.block.protect_parameters()
    if node.name is None:
        session.parameters.reset_all()
    elif node.name not in ("role", "session_authorization"):
        session.parameters.reset(node.name)
    session.parameters_changed()
    return "RESET"


async def _discard(session: Session, node: u.Discard) -> str:
    match node.what:
        case "all":
            transaction_commands.forbid_block(session, "DISCARD ALL")
            await session.close_portals()
            session.parameters.reset_all()
            session.statements.clear()
            session.sequences.discard()
            session.advisory.unlock_all()
            session.parameters_changed()
        case "sequences":
            session.sequences.discard()
    return f"DISCARD {node.what.upper()}"


async def _set_transaction(session: Session, node: u.SetTransaction) -> str:
    if node.for_session and node.modes.as_of is not None:
        raise FeatureNotSupported("AS OF SYSTEM TIME for a whole session is not supported")
    modes = await _modes(session, node.modes)
    if node.for_session:
        session.block.protect_parameters()
        tag = transaction_commands.set_characteristics(session, modes)
        session.parameters_changed()
        return tag
    return transaction_commands.set_transaction(session, modes)


async def _modes(session: Session, modes: u.TransactionModes) -> Modes:
    past = None if modes.as_of is None else await find_past(session, modes.as_of)
    return Modes(modes.isolation, modes.read_only, modes.deferrable, past)


async def _begin(session: Session, node: u.Begin) -> str:
    transaction_commands.begin(session, await _modes(session, node.modes))
    return "START TRANSACTION" if node.is_start else "BEGIN"


# What is accepted because it changes nothing here, and what is refused


def _maintenance(session: Session, node: u.Maintenance) -> str:
    if node.kind in ("VACUUM", "CLUSTER") or (node.kind == "REINDEX" and not node.tables):
        transaction_commands.forbid_block(session, node.kind)
    if node.kind in ("VACUUM", "ANALYZE"):
        named_tables(session, node.tables)
    return node.kind


async def _set_constraints(session: Session, node: u.SetConstraints) -> str:
    block = session.block
    if not block.is_block:
        session.out.notice(
            "WARNING", "SET CONSTRAINTS can only be used in transaction blocks", sqlstate="25P01"
        )
    txn = block.begin_work()
    oids = None if not node.names else [_deferrable(session, name) for name in node.names]
    if oids is None:
        txn.deferred.set_all(deferred=node.deferred)
    for oid in oids or ():
        txn.deferred.set_one(oid, deferred=node.deferred)
    if not node.deferred and txn.deferred.pending:
        await check_deferred(session.context(()), oids)
    return "SET CONSTRAINTS"


def _deferrable(session: Session, name: str) -> int:
    """Return the OID of a deferrable foreign key. Raises: UndefinedObject, WrongObjectType."""
    keys = [k for table in session.block.catalog.tables() for k in table.foreign_keys]
    for key in keys:
        if key.name == name:
            if not key.deferrable:
                raise WrongObjectType(f'constraint "{name}" is not deferrable')
            return key.oid
    raise UndefinedObject(f'constraint "{name}" does not exist')


def _refuse(session: Session, node: u.Listen | u.Unlisten | u.Notify) -> str:
    del session
    raise FeatureNotSupported(f"{node.kind} is not supported")


def _unlisten(_session: Session, _node: u.Unlisten) -> str:
    return "UNLISTEN"  # nothing is listened to


_HANDLERS: Final[dict[type[Any], Callable[[Session, Any], Any]]] = {
    u.SetVariable: _set,
    u.ResetVariable: _reset,
    u.Discard: _discard,
    u.SetTransaction: _set_transaction,
    u.Begin: _begin,
    u.Commit: lambda session, node: transaction_commands.commit_block(session, chain=node.chain),
    u.Rollback: lambda session, node: transaction_commands.rollback_block(
        session, chain=node.chain
    ),
    u.Savepoint: lambda session, node: transaction_commands.savepoint(session, node.name),
    u.ReleaseSavepoint: lambda session, node: transaction_commands.release(session, node.name),
    u.RollbackToSavepoint: lambda session, node: transaction_commands.rollback_to(
        session, node.name
    ),
    u.CancelJob: cancel_job,
    u.Copy: run_copy,
    u.Prepare: prepared_commands.prepare_command,
    u.Deallocate: prepared_commands.deallocate,
    u.DeclareCursor: cursors.declare,
    u.CloseCursor: cursors.close_cursor,
    u.LockTable: lock_table,
    u.SetConstraints: _set_constraints,
    u.Listen: _refuse,
    u.Unlisten: _unlisten,
    u.Notify: _refuse,
}
