"""Every function of the registry against a real PostgreSQL: the same values, the same errors.

Arguments are drawn from the samples, by a seed made of the signature, so a failure repeats.
"""

import itertools
import random
import re

import psycopg
import pytest

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.codecs.settings import Settings
from pgwire.sql_error import SqlError
from sqlnode.functions.registry import REGISTRY
from sqlnode.functions.text_io import reader, writer
from sqlnode.types import BY_NAME
from tests.function_samples import add_arrays
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
ZONE = "Europe/Berlin"
POOLS = add_arrays()
ELEMENTS = ("int4", "text", "numeric", "timestamptz", "float8", "date", "interval")
ANY = ("int4", "text", "numeric", "timestamp", "_text", "jsonb", "bytea", "float8")
UNITS = "year month day hour second milliseconds week quarter decade century dow doy isoyear epoch"
TEXTS = {  # what text arguments after the first are drawn from, by function
    r"^(extract|date_part|date_trunc)\(": (0, UNITS.split()),
    r"^timezone\(": (0, ["UTC", "America/New_York", "EST", "+03", "Asia/Kolkata"]),
    r"(like|regex|regexp|similar)": (1, ["a", "a.c", "^a", "(a)(b)?", "[[:alpha:]]+", r"\d+",
                                         r"\mHel", "b*", "x{2}", "%o%", "_b%", "[", "(?i)ABC"]),
    r"^(encode|decode)\(": (1, ["hex", "base64", "escape"]),
    r"^(is_)?normal": (1, ["NFC", "NFD", "NFKC"]),
    r"^to_char\((timestamp|timestamptz)": (1, ["YYYY-MM-DD HH24:MI:SS", "FMMonth DD, YYYY",
                                               "IYYY-IW-ID", "Dy DDth HH12 AM", "MS US Q RM"]),
    r"^to_char\((numeric|int)": (1, ["9999.99", "FM9999.99", "S999", "999PR", "0000", "9,999.0"]),
}  # fmt: skip
FLAGS = {"regexp_": ["", "i", "n"]}
# Differences that are meant: refused here where PostgreSQL's answer is an accident of its storage
# (wrapped integers, NaN pictures, infinite ages), or needs what we do not have.
SKIPPED = re.compile(
    r"^(make_interval|array_fill|json\w*_populate|jsonb?_object\(|unistr|convert_|overlay|"
    r"to_(date|timestamp|number|char\((float|interval))|age|timestamp_mi\(|date_bin|chr\(|"
    r"pg_|row_sec|has_|col_description|obj_desc|shobj|format_type|to_reg|current_|inet_|version|user|"
    r"session_user|system_user|txid|now|transaction_t|statement_t|localtime|nextval|unnest|"
    r"generate_series|.*(iclike|icnlike)|similar|jsonb_delete\(jsonb,_text|cotd|"
    r"date_part\(text,(date|timestamp)\)|extract\(text,timestamp\)|cluster_logical|follower_read)"
)
# Other scales and SQLSTATEs since PostgreSQL 16; ours are those of 15.
CHANGED_IN_16 = ("numeric_power", "json_build_object")
_TYPE_NAMES = {"char": '"char"', "_char": '"char"[]'}


class Context:
    settings = Settings(time_zone=ZONE)


def _id(function):
    return f"{function.name}({','.join(argument.name for argument in function.arguments)})"


def _entries():
    return [
        function
        for function in itertools.chain(*REGISTRY.functions.values())
        if function.volatility.value != "v"
        and not function.is_async
        and not SKIPPED.match(_id(function))
        and all(
            a.name in POOLS or a.name in ("anyelement", "anyarray", "any")
            for a in function.arguments
        )
    ]


def _concrete(function, chosen):
    names = [argument.name for argument in function.arguments]
    if function.variadic:
        names = names[:-1] + [names[-1]] * chosen.choice((2, 2, 4))
    element = chosen.choice(ELEMENTS)
    swap = {"anyelement": element, "anyarray": "_" + element}
    names = [swap.get(name, name) for name in names]
    return [chosen.choice(ANY) if name == "any" else name for name in names]


def _texts(function, names, chosen):
    pools = [POOLS[name] for name in names]
    for pattern, (index, values) in TEXTS.items():
        if re.search(pattern, _id(function)) and index < len(pools):
            pools[index] = values
    if function.name.startswith("regexp_"):
        for index in range(2, len(pools)):
            if names[index] == "text" and not (index == 2 and "replace" in function.name):
                pools[index] = FLAGS["regexp_"]
    return [None if chosen.random() < 0.03 else chosen.choice(pool) for pool in pools]


def _result_type(function, names):
    result = function.result.name
    for argument, name in zip(function.arguments, names, strict=False):
        if result == "anyelement" and argument.name == "anyelement":
            return name
        if result == "anyelement" and argument.name == "anyarray":
            return name[1:]
        if result == "anyarray" and argument.name in ("anyarray", "anyelement"):
            return name if argument.name == "anyarray" else "_" + name
    return result


def _ours(function, names, texts):
    concrete = function
    try:
        if function.specialize is not None:
            concrete = function.specialize(tuple(BY_NAME[name] for name in names))
        args = [
            None if text is None else reader(BY_NAME[name], Context.settings)(text)
            for name, text in zip(names, texts, strict=True)
        ]
        if concrete.strict and None in args:
            return [] if concrete.returns_set else [None]
        call_args = [Context, *args] if concrete.needs_context else args
        value = concrete.python(*call_args)
        rows = list(value) if concrete.returns_set else [value]
    except SqlError as error:
        return ("error", error.sqlstate)
    types = [t.name for t in function.out_types] or [_result_type(function, names)]
    return [_shown(row, types) for row in rows]


def _shown(row, types):
    outs = [writer(BY_NAME[name], Context.settings) for name in types]
    if len(outs) == 1:
        return None if row is None else outs[0](row)
    return tuple(None if v is None else out(v) for v, out in zip(row, outs, strict=True))


def _theirs(connection, function, names, texts):
    args = ", ".join(
        "NULL::" + _TYPE_NAMES.get(name, name)
        if text is None
        else f"{psycopg.sql.Literal(text).as_string(connection)}::{_TYPE_NAMES.get(name, name)}"
        for name, text in zip(names, texts, strict=True)
    )
    call = f'pg_catalog."{function.name}"({args})'
    fields = ", ".join(f'x."{name}"::text' for name in function.out_names)
    if not function.returns_set:
        query = f"SELECT ({call})::text"
    elif len(function.out_names) > 1:
        query = f"SELECT {fields} FROM {call} x"
    else:
        query = f"SELECT x::text FROM {call} x"
    try:
        rows = connection.execute(query).fetchall()
    except psycopg.Error as error:
        return ("error", error.sqlstate)
    if function.result.name == "bool" and not function.returns_set:
        rows = [tuple(v if v is None else v[0] for v in row) for row in rows]
    return [row[0] if len(row) == 1 else row for row in rows]


@pytest.fixture(scope="module")
def connection():
    with postgres(timezone=ZONE) as url, psycopg.connect(url, autocommit=True) as opened:
        opened.execute("SET statement_timeout = '2s'")
        yield opened


@pytest.mark.parametrize("function", _entries(), ids=_id)
def test_agrees_with_postgresql(connection, function):
    """If it fails, a query gives another answer here than the PostgreSQL people moved from."""
    if function.name in CHANGED_IN_16 and connection.info.server_version >= 160_000:
        return
    chosen = random.Random(_id(function))
    for _ in range(12):
        names = _concrete(function, chosen)
        texts = _texts(function, names, chosen)
        theirs = _theirs(connection, function, names, texts)
        ours = _ours(function, names, texts)
        is_refused = function.name == "to_char" and ours == ("error", "0A000")
        if theirs == ("error", "57014") or is_refused:
            continue
        assert ours == theirs, (names, texts)


def test_signatures_are_postgresqls(connection):
    """If it fails, a driver or tool that looks a function up in pg_proc is told a fiction."""
    rows = connection.execute(
        "SELECT proname, array(SELECT typname::text FROM unnest(proargtypes) WITH ORDINALITY "
        "u(oid, n) JOIN pg_type t ON t.oid = u.oid ORDER BY n) FROM pg_proc "
        "WHERE pronamespace = 'pg_catalog'::regnamespace"
    ).fetchall()
    known = {name for name, _ in rows}
    # What the grammar makes calls, what an extension brings, and our own.
    ours = {"cluster_logical_timestamp", "follower_read_timestamp",
            "position", "user", "current_catalog", "current_role", "current_date", "localtime",
            "localtimestamp", "current_timestamp", "system_user",
            "pg_stat_statements_reset"}  # fmt: skip
    grammar = {name for name in REGISTRY.functions if name not in known} - ours
    assert grammar == set()
