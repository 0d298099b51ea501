"""Catalogs made by DDL statements in memory, and queries over their system relations."""

import sqlnode.catalog.system.all
import sqlnode.functions.all  # noqa: F401 - both register themselves
from pgwire.codecs.registry import text_output
from pgwire.codecs.settings import DEFAULT_SETTINGS
from sqlnode.catalog.descriptors import DatabaseDesc
from sqlnode.catalog.reg_names import REG_OIDS, reg_text
from sqlnode.catalog.snapshot import RoleInfo, build_catalog
from sqlnode.catalog.store import CatalogEditor
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.execute import execute_ddl
from sqlnode.parse.statement import parse, split
from sqlnode.plan_cache import PlanEnv
from sqlnode.planner import make_plan
from sqlnode.session.inner_sql import EngineSql
from sqlnode.statements import read_statements
from tests.fakes.memory_txn import MemoryStore

PATH = ("public",)
USER, DATABASE = "app", "defaultdb"


def context(catalog, txn, params=()):
    """Return a context of user `app` in `defaultdb`."""
    session = SessionInfo(USER, USER, DATABASE, "t", 1, PATH, {"server_version": "15.0"})
    return ExecContext(
        txn, catalog, list(params), DEFAULT_SETTINGS, session, None, 0, 0,
        lambda: 0, lambda: 0.5, lambda severity, message: None,
    )  # fmt: skip


async def made_by(sql):
    """Return the catalog that DDL statements leave."""
    txn = MemoryStore().begin()
    database = DatabaseDesc(16000, DATABASE, USER)
    empty = build_catalog(1, [database], [RoleInfo(10, USER, True, True)])
    numbers = iter(range(16384, 32768))

    async def allocate():
        return next(numbers)

    editor = CatalogEditor(txn, empty, allocate)
    for statement in split(sql):
        ctx = context(editor.catalog, txn)
        inner = EngineSql(lambda catalog: context(catalog, txn))
        await execute_ddl(DdlContext(editor, ctx, inner), parse(statement.text).tree)
    return editor.catalog


async def ask(catalog, sql, params=()):
    """Return (column names, rows of text) of a query without stored tables."""
    (statement,) = read_statements(sql, is_extended=True)
    plan = make_plan(statement, PlanEnv(catalog, PATH, DEFAULT_SETTINGS, is_shared=False), ())
    rows = []
    ctx = context(catalog, MemoryStore().begin(), params)
    async for batch in plan.executable.run(ctx):
        rows += batch
    outputs = [_output(catalog, column.type.oid) for column in plan.columns]
    return [column.name for column in plan.columns], [
        [None if d is None else write(d) for d, write in zip(row, outputs, strict=True)]
        for row in rows
    ]


def _output(catalog, type_oid):
    if type_oid in REG_OIDS:
        return lambda datum: reg_text(type_oid, datum, catalog, PATH)
    return text_output(type_oid, DEFAULT_SETTINGS)
