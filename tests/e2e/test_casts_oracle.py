"""Casts and aggregates of the registry against a real PostgreSQL."""

import itertools
import random

import psycopg
import pytest

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.codecs.settings import Settings
from pgwire.sql_error import SqlError
from sqlnode.functions.registry import REGISTRY, CastContext
from sqlnode.functions.text_io import reader, writer
from sqlnode.types import TYPES
from tests.function_samples import VALUES
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
ZONE = "Europe/Berlin"
_TYPE_NAMES = {"char": '"char"'}
_CONTEXTS = {"e": CastContext.EXPLICIT, "a": CastContext.ASSIGNMENT, "i": CastContext.IMPLICIT}


class Context:
    settings = Settings(time_zone=ZONE)


@pytest.fixture(scope="module")
def connection():
    with postgres(timezone=ZONE) as url, psycopg.connect(url, autocommit=True) as opened:
        yield opened


def _sql(connection, name, text):
    value = "NULL" if text is None else psycopg.sql.Literal(text).as_string(connection)
    return f"{value}::{_TYPE_NAMES.get(name, name)}"


def _theirs(connection, query):
    try:
        return connection.execute(query).fetchone()[0]
    except psycopg.Error as error:
        return ("error", error.sqlstate)


def _casts():
    return [
        rule
        for rule in REGISTRY.casts.values()
        if rule.source.name in VALUES and rule.target.name in VALUES
    ]


@pytest.mark.parametrize("rule", _casts(), ids=lambda r: f"{r.source.name}-{r.target.name}")
def test_casts_agree(connection, rule):
    """If it fails, x::type gives another value here than in PostgreSQL."""
    source, target = rule.source, rule.target
    for text in VALUES[source.name]:
        wanted = _theirs(
            connection,
            f"SELECT ({_sql(connection, source.name, text)}::"
            f"{_TYPE_NAMES.get(target.name, target.name)})::text",
        )
        datum = reader(source, Context.settings)(text)
        try:
            if rule.function is not None:
                context = [Context] if rule.function.needs_context else []
                datum = rule.function.python(*context, datum)
            got = None if datum is None else writer(target, Context.settings)(datum)
        except SqlError as error:
            got = ("error", error.sqlstate)
        if target.name == "bool":
            wanted = wanted[0] if wanted in ("true", "false") else wanted
        if target.name == "bpchar" and isinstance(got, str):
            got = got.rstrip(" ")
        assert got == wanted, text


def test_contexts_are_postgresqls(connection):
    """If it fails, an insert or a comparison is refused, or done silently, unlike PostgreSQL."""
    rows = connection.execute("SELECT castsource, casttarget, castcontext FROM pg_cast").fetchall()
    theirs = {
        (source, target): _CONTEXTS[context]
        for source, target, context in rows
        if source in TYPES and target in TYPES and source != target
    }
    ours = {pair: rule.context for pair, rule in REGISTRY.casts.items() if pair[0] != pair[1]}
    missing = {(TYPES[s].name, TYPES[t].name) for s, t in theirs.keys() - ours.keys()}
    others = ("reg", "pg_node_tree")  # text to regclass needs the catalog: system_reg.py
    assert {pair for pair in missing if not any(n.startswith(others) for n in pair)} == set()
    different = {
        (TYPES[s].name, TYPES[t].name): (ours[s, t].name, theirs[s, t].name)
        for s, t in theirs.keys() & ours.keys()
        if ours[s, t] != theirs[s, t]
    }
    assert different == {}


def _aggregates():
    return [
        aggregate
        for aggregate in itertools.chain(*REGISTRY.aggregates.values())
        if aggregate.arguments
        and not aggregate.ordered_set
        and not aggregate.needs_context
        and all(argument.name in VALUES for argument in aggregate.arguments)
    ]


def _id(aggregate):
    return f"{aggregate.name}({','.join(argument.name for argument in aggregate.arguments)})"


@pytest.mark.parametrize("aggregate", _aggregates(), ids=_id)
def test_aggregates_agree(connection, aggregate):
    """If it fails, a sum or an average is wrong, or of the wrong type or scale."""
    chosen = random.Random(_id(aggregate))
    names = [argument.name for argument in aggregate.arguments]
    for count in (0, 1, 2, 5, 9):
        rows = [
            [None if chosen.random() < 0.1 else chosen.choice(VALUES[n]) for n in names]
            for _ in range(count)
        ]
        values = ", ".join(
            "(" + ", ".join(_sql(connection, n, v) for n, v in zip(names, row, strict=True))
            + f", {i})" for i, row in enumerate(rows)
        )  # fmt: skip
        columns = ", ".join(f"c{i}" for i in range(len(names)))
        source = f"(VALUES {values}) t({columns}, n)" if rows else (
            "(SELECT " + ", ".join(f"{_sql(connection, n, None)} c{i}" for i, n in enumerate(names))
            + ", 1 n WHERE false) t")  # fmt: skip
        query = f"SELECT {aggregate.name}({columns} ORDER BY n)::text FROM {source}"
        wanted = _theirs(connection, query)
        accumulator = aggregate.python()
        try:
            for row in rows:
                accumulator.step(
                    *(
                        None if v is None else reader(t, Context.settings)(v)
                        for t, v in zip(aggregate.arguments, row, strict=True)
                    )
                )
            value = accumulator.final()
            out = writer(aggregate.result, Context.settings)
            got = None if value is None else out(value)
        except SqlError as error:
            got = ("error", error.sqlstate)
        if aggregate.result.name == "bpchar" and isinstance(got, str):
            got = got.rstrip(" ")
        if aggregate.result.name == "bool":
            wanted = wanted and wanted[0]
        assert got == wanted, query
