"""EXPLAIN: the plan as text, one line for each node; with ANALYZE what running it took."""

from collections.abc import Iterator
from typing import Any

from admission.cost_model import Usage, request_units
from pgwire.errors import FeatureNotSupported
from sqlnode.parse import utility as u
from sqlnode.plan import logical
from sqlnode.plan.statement import Insert, Query
from sqlnode.planner import Plan, PlanKind
from sqlnode.session.session import Session
from sqlnode.statements import statement_of_tree
from sqlnode.vecexec.query import VecQuery


async def explain(session: Session, node: u.Explain) -> list[str]:
    """Return the lines of EXPLAIN. Raises: FeatureNotSupported and what planning raises."""
    output = node.options.get("format", "text").lower()
    if output != "text":
        raise FeatureNotSupported(f"EXPLAIN (FORMAT {output.upper()}) is not supported")
    plan = session.engine.plan(statement_of_tree(node.statement, "EXPLAIN"), session.env())
    lines = list(_lines(plan))
    if node.analyze:
        lines += await _analyze(session, plan)
    return lines


def _lines(plan: Plan) -> Iterator[str]:
    bound = plan.bound
    if isinstance(bound, Query):
        engine = "vector" if isinstance(plan.executable, VecQuery) else "row"
        yield from _tree(bound.plan, 0)
        yield f"Executor: {engine}"
        return
    assert bound is not None, "planned statements are bound"
    word = type(bound).__name__
    yield f"{word} on {bound.table.name}"  # type: ignore[union-attr]  # data changes have a table
    source: Any = bound.source  # type: ignore[union-attr]  # and a source
    yield from _tree(source, 1)
    if isinstance(bound, Insert) and bound.on_conflict is not None:
        action = "UPDATE" if bound.on_conflict.do_update else "NOTHING"
        yield f"  Conflict Resolution: {action}"


def _tree(plan: logical.Plan, depth: int) -> Iterator[str]:
    head = "  " * (3 * depth - 2) + "->  " if depth else ""
    yield head[2:] + _name(plan) if depth else _name(plan)
    for child in logical.inputs(plan):
        yield from _tree(child, depth + 1)


def _name(plan: logical.Plan) -> str:
    match plan:
        case logical.Scan():
            alias = "" if plan.alias == plan.table.name else f" {plan.alias}"
            return f"Scan on {plan.table.name}{alias}"
        case logical.VirtualScan():
            return f"Virtual Scan on {plan.relation}"
        case logical.Join():
            return f"{plan.kind.capitalize()} Join"
        case logical.SetOperation():
            return f"{plan.kind.capitalize()}{' All' if plan.all else ''}"
        case logical.FunctionScan():
            return f"Function Scan on {plan.function.name}"
        case logical.CteScan():
            return f"CTE Scan on cte {plan.cte_id}"
        case logical.SingleRow():
            return "Result"
        case logical.Values():
            return f"Values Scan ({len(plan.rows)} rows)"
    return type(plan).__name__


async def _analyze(session: Session, plan: Plan) -> list[str]:
    session.block.begin_work().used.add(plan.relations)
    clock, account = session.engine.clock, session.account
    account.lap()
    mark, started_s = account.meter.mark(), clock.monotonic_s()
    context = session.context(())
    if plan.kind is PlanKind.QUERY:
        row_count = 0
        async for rows in plan.executable.run(context):
            row_count += len(rows)
    else:
        row_count, _ = await plan.executable.run(context)
    elapsed_ms = (clock.monotonic_s() - started_s) * 1000
    account.lap()
    used = account.meter.since(mark)
    return [f"Rows: {row_count}", f"Execution Time: {elapsed_ms:.3f} ms", *_cost_lines(used)]


def _cost_lines(used: Usage) -> list[str]:
    """Say what was used, and what that costs; rows that are not sent cost nothing."""
    parts = []
    if used.read_batches:
        parts.append(f"Reads: {used.read_requests:.0f} in {used.read_batches:.0f} batches")
        parts.append(f"{used.read_bytes:.0f} bytes")
    if used.write_batches:
        parts.append(f"Writes: {used.write_requests:.0f} in {used.write_batches:.0f} batches")
        parts.append(f"{used.write_bytes:.0f} bytes")
    cpu = f"CPU: SQL {used.sql_cpu_s * 1e3:.3f} ms, KV {used.kv_cpu_s * 1e3:.3f} ms"
    lines = [", ".join(parts)] if parts else []
    return [*lines, cpu, f"Request Units: {request_units(used):.3f} RU"]
