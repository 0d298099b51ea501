"""COPY: which table or query, with which options, in which direction.

Source: PostgreSQL, src/backend/commands/copy.c.
"""

from pgwire.copy_options import CopyOptions
from pgwire.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import Relation, TableDesc, ViewDesc
from sqlnode.catalog.virtual import find_virtual
from sqlnode.parse import utility as u
from sqlnode.parse.query_syntax import Query, TableRef
from sqlnode.plan.bind import BindSession, bind_statement
from sqlnode.plan.quoting import quote_name
from sqlnode.plan.statement import Insert
from sqlnode.planner import make_plan
from sqlnode.session.copy_in import copy_from_client
from sqlnode.session.copy_out import copy_to_client
from sqlnode.session.schema_follow import follow_unheard
from sqlnode.session.session import Session
from sqlnode.statements import Statement, read_statements, statement_of_tree


async def run_copy(session: Session, node: u.Copy) -> str:
    """COPY. Raises: SqlError, KvError."""
    if node.table is not None and _find(session, node.table) is None:
        await follow_unheard(session)
    if node.is_from:
        row_count = await _copy_from(session, node)
    else:
        row_count = await _copy_to(session, node)
    return f"COPY {row_count}"


def _options(node: u.Copy) -> CopyOptions:
    given = node.options
    return CopyOptions(
        format=given.format,
        delimiter=given.delimiter,
        null=given.null,
        header={"off": False, "on": True}.get(given.header, given.header),
        quote=given.quote,
        escape=given.escape,
        force_quote=frozenset(given.force_quote),
        force_not_null=frozenset(given.force_not_null),
        force_null=frozenset(given.force_null),
        encoding=given.encoding or "UTF8",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _target(node: u.Copy) -> str:
    assert node.table is not None, "COPY without a table has a query"
    return ".".join(_quoted(part) for part in node.table.name)


async def _copy_from(session: Session, node: u.Copy) -> int:
    if node.where is not None:
        raise FeatureNotSupported("COPY FROM with WHERE is not supported")
    table = _find_table(session, node)
    names = _column_names(table, node)
    if session.block.is_read_only:
        raise ReadOnlySqlTransaction("cannot execute COPY FROM in a read-only transaction")
    options = _options(node)
    _check_forced(options, names)
    values = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    columns = ", ".join(map(_quoted, names))
    text = (
        f"INSERT INTO {_target(node)} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"
        if names
        else f"INSERT INTO {_target(node)} DEFAULT VALUES"
    )
    (statement,) = read_statements(text)
    env = session.env()
    bound = bind_statement(
        statement.tree,
        text=text,
        catalog=env.catalog,
        search_path=env.search_path,
        session=BindSession(env.settings),
    ).bound
    assert isinstance(bound, Insert), "the text is an INSERT"
    return await copy_from_client(session, bound, names, options)


def _find(session: Session, ref: TableRef) -> Relation | None:
    name, schema = ref.name[-1], ref.name[-2] if len(ref.name) > 1 else None
    return session.block.catalog.find_relation(name, schema, session.info.search_path)


def _find_table(session: Session, node: u.Copy) -> TableDesc:
    assert node.table is not None, "COPY FROM has a table"
    ref = node.table
    found = _find(session, ref)
    name, schema = ref.name[-1], ref.name[-2] if len(ref.name) > 1 else None
    if found is None:
        if find_virtual(name, schema, session.info.search_path) is not None:
            raise WrongObjectType(f'cannot copy to system relation "{name}"')
        raise UndefinedTable(f'relation "{".".join(ref.name)}" does not exist')
    if not isinstance(found, TableDesc):
        kind = "view" if isinstance(found, ViewDesc) else "sequence"
        raise WrongObjectType(f'cannot copy to {kind} "{name}"')
    return found


def _column_names(table: TableDesc, node: u.Copy) -> list[str]:
    if not node.columns:
        return [column.name for column in table.columns if not column.hidden]
    for name in node.columns:
        if table.find_column(name) is None:
            raise UndefinedColumn(f'column "{name}" of relation "{table.name}" does not exist')
        if node.columns.count(name) > 1:
            raise DuplicateColumn(f'column "{name}" specified more than once')
    return list(node.columns)


def _check_forced(options: CopyOptions, names: list[str]) -> None:
    for option, forced in (
        ("FORCE_NOT_NULL", options.force_not_null),
        ("FORCE_NULL", options.force_null),
    ):
        for name in forced - {"*"} - set(names):
            raise InvalidColumnReference(f'{option} column "{name}" not referenced by COPY')


async def _copy_to(session: Session, node: u.Copy) -> int:
    plan = make_plan(_source(session, node), session.env(), ())
    if not plan.columns:
        raise FeatureNotSupported("COPY query must have a RETURNING clause")
    return await copy_to_client(session, plan, _options(node))


def _source(session: Session, node: u.Copy) -> Statement:
    if node.query is not None:
        if not isinstance(node.query, Query):
            raise FeatureNotSupported("COPY of a data change with RETURNING is not supported")
        return statement_of_tree(node.query, "COPY")
    assert node.table is not None, "COPY without a query has a table"
    found = _find(session, node.table)
    if isinstance(found, ViewDesc):
        raise WrongObjectType(
            f'cannot copy from view "{found.name}"', hint="Try the COPY (SELECT ...) TO variant."
        )
    if isinstance(found, TableDesc):
        columns = ", ".join(map(_quoted, _column_names(found, node)))
    else:
        columns = ", ".join(map(quote_name, node.columns)) or "*"
    (statement,) = read_statements(f"SELECT {columns} FROM {_target(node)}")
    return statement
