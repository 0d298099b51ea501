"""What SQL can ask about its session and server, and the sequences.

The functions over the catalog (format_type, pg_get_*, has_*_privilege…) are in system_*.py.
"""

import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from kvapi.hlc import to_decimal
from kvapi.layout import CATALOG_CHANGED_KEY
from pgwire.errors import FeatureNotSupported, UndefinedObject
from sqlnode.functions.define import STABLE, VOLATILE, function
from sqlnode.functions.json_build import Types, specialized

FOLLOWER_LAG_US: Final = 1_000_000
"""How far follower_read_timestamp() lies back: time enough for clocks that differ."""
VERSION: Final = "PostgreSQL 15.0 (Insula 0.1.0), compiled by CPython, 64-bit"
_CTX: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}
_MOVING: Final[dict[str, Any]] = {"needs_context": True, "volatility": VOLATILE}


def _setting(ctx: Any, name: str, missing_ok: bool | None = False) -> str | None:
    for known, value in ctx.session.variables.items():
        if known.lower() == name.lower():
            return str(value)
    if missing_ok:
        return None
    raise UndefinedObject(f'unrecognized configuration parameter "{name}"')


def _set_config(ctx: Any, name: str, value: str | None, is_local: bool) -> str | None:
    change = getattr(ctx.session, "set_config", None)
    if change is None:
        raise FeatureNotSupported("set_config() is not supported here, use SET")
    done: str | None = change(name, value, is_local)
    return done


def _schemas(ctx: Any, with_implicit: bool) -> list[str]:
    path = list(ctx.session.search_path)
    if with_implicit:
        return path if "pg_catalog" in path else ["pg_catalog", *path]
    return [name for name in path if name != "pg_catalog"]


def _schema(ctx: Any) -> str | None:
    path = _schemas(ctx, False)
    return path[0] if path else None


async def _sleep(ctx: Any, seconds: float) -> str:
    if seconds > 0 and math.isfinite(seconds):
        await ctx.sleep(seconds)
    return ""


async def _sleep_for(ctx: Any, span: Any) -> str:
    days = span.months * 30 + span.days
    return await _sleep(ctx, days * 86_400 + span.micros / 1_000_000)


def _type_of(types: Types) -> Callable[..., Any]:
    return lambda *_args: types[0].oid


def _random_uuid(ctx: Any) -> bytes:
    bits = 0
    for _ in range(4):
        bits = bits << 32 | int(ctx.random() * 2**32)
    return uuid.UUID(int=bits, version=4).bytes


def _reset_statements(ctx: Any) -> str:
    if ctx.session.statements is not None:
        ctx.session.statements.reset()
    return ""


def _refuse(name: str) -> Callable[..., Any]:
    def run(*_args: Any) -> Any:
        raise FeatureNotSupported(f"{name}() is not supported")

    return run


function("version() text", lambda: VERSION, volatility=STABLE)
for _name in ("current_database", "current_catalog"):
    function(f"{_name}() name", lambda ctx: ctx.session.database, **_CTX)
for _name in ("current_user", "current_role", "user"):
    function(f"{_name}() name", lambda ctx: ctx.session.user, **_CTX)
function("session_user() name", lambda ctx: ctx.session.session_user, **_CTX)
function("system_user() text", lambda ctx: ctx.session.session_user, **_CTX)
function("current_schema() name", _schema, **_CTX)
function("current_schemas(bool) name[]", _schemas, **_CTX)
function("current_query() text", _refuse("current_query"), **_CTX)
function("pg_backend_pid() int4", lambda ctx: ctx.session.backend_pid, **_CTX)
function("current_setting(text) text", _setting, **_CTX)
function("current_setting(text, bool) text", _setting, **_CTX)
function("set_config(text, text, bool) text", _set_config, strict=False, **_MOVING)
function("inet_client_addr() text", lambda ctx: ctx.session.client_address, **_CTX)
function("inet_server_addr() text", lambda ctx: ctx.session.server_address, **_CTX)
function("inet_client_port() int4", lambda ctx: None, **_CTX)
function("inet_server_port() int4", lambda ctx: ctx.session.server_port or None, **_CTX)
specialized("pg_typeof(any) regtype", _type_of, strict=False, volatility=STABLE)
function("pg_sleep(float8) void", _sleep, is_async=True, **_MOVING)
function("pg_sleep_for(interval) void", _sleep_for, is_async=True, **_MOVING)
function("pg_is_in_recovery() bool", lambda: False, volatility=VOLATILE)
function("pg_postmaster_start_time() timestamptz", lambda ctx: ctx.txn_start_micros, **_CTX)
function("pg_conf_load_time() timestamptz", lambda ctx: ctx.txn_start_micros, **_CTX)
function("pg_trigger_depth() int4", lambda: 0, volatility=STABLE)
function("pg_jit_available() bool", lambda: False, volatility=VOLATILE)
function("pg_client_encoding() name", lambda: "UTF8", volatility=STABLE)
function("gen_random_uuid() uuid", _random_uuid, **_MOVING)
function("pg_stat_statements_reset() void", _reset_statements, strict=False, **_MOVING)
function("random() float8", lambda ctx: ctx.random(), **_MOVING)
function("setseed(float8) void", _refuse("setseed"), volatility=VOLATILE)


def _txid(ctx: Any) -> int:
    return int(getattr(ctx.txn, "read_ts", 0)) & (2**62 - 1)


function("txid_current() int8", _txid, **_CTX)
function("txid_current_if_assigned() int8", _txid, **_CTX)
function("pg_current_xact_id() xid8", _txid, **_CTX)


async def _logical_timestamp(ctx: Any) -> Decimal:
    """Return the transaction's snapshot, taken now if nothing was read yet."""
    if not ctx.txn.read_ts:
        await ctx.txn.get(CATALOG_CHANGED_KEY)
    return to_decimal(ctx.txn.read_ts)


function("cluster_logical_timestamp() numeric", _logical_timestamp, is_async=True, **_CTX)
function("follower_read_timestamp() timestamptz",
         lambda ctx: ctx.statement_micros - FOLLOWER_LAG_US, **_CTX)  # fmt: skip


async def _nextval(ctx: Any, sequence_id: int) -> int:
    return int(await ctx.sequences.nextval(sequence_id))


async def _currval(ctx: Any, sequence_id: int) -> int:
    return int(await ctx.sequences.currval(sequence_id))


async def _lastval(ctx: Any) -> int:
    return int(await ctx.sequences.lastval())


async def _setval(ctx: Any, sequence_id: int, value: int, is_called: bool = True) -> int:
    return int(await ctx.sequences.setval(sequence_id, value, is_called))


_SEQUENCE: Final[dict[str, Any]] = {**_MOVING, "is_async": True}
function("nextval(regclass) int8", _nextval, **_SEQUENCE)
function("currval(regclass) int8", _currval, **_SEQUENCE)
function("lastval() int8", _lastval, **_SEQUENCE)
function("setval(regclass, int8) int8", _setval, **_SEQUENCE)
function("setval(regclass, int8, bool) int8", _setval, **_SEQUENCE)
