"""PREPARE, EXECUTE, DEALLOCATE: prepared statements in SQL."""

from collections.abc import Sequence
from typing import Any

from pgwire.errors import (
    DuplicatePreparedStatement,
    InvalidSqlStatementName,
    SqlSyntaxError,
)
from pgwire.messages import row_description
from sqlnode.parse import utility as u
from sqlnode.plan.bind import BindSession, bind_expression
from sqlnode.planner import PlanKind
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.session.as_of import enter_past, planning
from sqlnode.session.describe import described_columns
from sqlnode.session.portal import PreparedStatement
from sqlnode.session.session import Session
from sqlnode.statements import statement_of_tree


async def prepare_command(session: Session, node: u.Prepare) -> str:
    """PREPARE. Raises: DuplicatePreparedStatement and what planning raises."""
    if node.name in session.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{node.name}" already exists')
    statement = statement_of_tree(node.statement, f"PREPARE {node.name}")
    declared = tuple(sql_type.oid for sql_type in node.types)
    with await planning(session, statement.as_of):
        env = session.env()
        plan = session.engine.plan(statement, env, declared)
    session.add_statement(
        node.name,
        PreparedStatement(
            node.name,
            statement,
            declared,
            plan,
            env,
            from_sql=True,
            prepared_micros=session.now_micros(),
        ),
    )
    return "PREPARE"


def deallocate(session: Session, node: u.Deallocate) -> str:
    """DEALLOCATE. Raises: InvalidSqlStatementName."""
    if node.name is None:
        session.statements.clear()
        return "DEALLOCATE ALL"
    if session.statements.pop(node.name, None) is None:
        raise InvalidSqlStatementName(f'prepared statement "{node.name}" does not exist')
    return "DEALLOCATE"


async def execute(
    session: Session, node: u.Execute, formats: Sequence[int], *, is_simple: bool
) -> str:
    """EXECUTE. Raises: InvalidSqlStatementName, SqlSyntaxError and what the statement raises."""
    from sqlnode.session.extended_query import refresh
    from sqlnode.session.run_plan import run_plan

    prepared = session.statements.get(node.name)
    if prepared is None:
        raise InvalidSqlStatementName(f'prepared statement "{node.name}" does not exist')
    if prepared.statement.as_of is not None:
        await enter_past(session, prepared.statement.as_of)
    refresh(session, prepared)
    plan = prepared.plan
    if len(node.args) != len(plan.param_types):
        raise SqlSyntaxError(
            f'wrong number of parameters for prepared statement "{node.name}"',
            detail=f"Expected {len(plan.param_types)} parameters but got {len(node.args)}.",
        )
    session.block.ensure()
    params = [_argument(session, sql, index, prepared) for index, sql in enumerate(node.args)]
    if is_simple and plan.returns_rows and plan.kind is not PlanKind.UTILITY:
        session.out.add(row_description(described_columns(plan.columns, formats)))
    return await run_plan(session, plan, params, formats, is_whole=False)


def _argument(session: Session, sql: str, index: int, prepared: PreparedStatement) -> Any:
    bound = bind_expression(
        sql,
        (),
        catalog=session.block.catalog,
        search_path=session.info.search_path,
        wanted=prepared.plan.param_types[index],
        clause="EXECUTE parameters",
        session=BindSession(session.parameters.settings),
    )
    return compile_scalar(bound, {})((), session.context(()))
