"""Rows about the tenant's server: databases, roles, settings, this session."""

import math
from collections.abc import Iterator
from typing import Any
from zoneinfo import available_timezones

from pgwire.codecs.zones import zone_by_name
from pgwire.datum import Interval
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.oids import (
    BOOTSTRAP_ROLE_OID,
    DEFAULT_TABLESPACE_OID,
    PREDEFINED_ROLES,
    UTF8_ENCODING,
)
from sqlnode.catalog.system.rows_relations import owner_oid
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.session.parameter_table import HIDDEN, PARAMETERS
from sqlnode.session.parameter_values import canonical
from sqlnode.statement_stats import MICRO

Rows = Iterator[dict[str, Any]]
_MICROS_PER_S = 1_000_000


@rows_of("pg_catalog.pg_database")
def _databases(catalog: Catalog, context: ExecContext) -> Rows:
    for database in catalog.databases.values():
        yield {
            "oid": database.id,
            "datname": database.name,
            "datdba": owner_oid(catalog, database.owner),
            "encoding": UTF8_ENCODING,
            "datlocprovider": "c",
            "datallowconn": True,
            "datconnlimit": -1,
            "dattablespace": DEFAULT_TABLESPACE_OID,
            "datcollate": "C",
            "datctype": "C",
        }


@rows_of("pg_catalog.pg_tablespace")
def _tablespaces(catalog: Catalog, context: ExecContext) -> Rows:
    for oid, name in ((DEFAULT_TABLESPACE_OID, "pg_default"), (1664, "pg_global")):
        yield {"oid": oid, "spcname": name, "spcowner": BOOTSTRAP_ROLE_OID}


@rows_of("pg_catalog.pg_roles")
def _roles(catalog: Catalog, context: ExecContext) -> Rows:
    for role in catalog.roles:
        yield {
            "oid": role.oid,
            "rolname": role.name,
            "rolsuper": role.superuser,
            "rolinherit": True,
            "rolcreaterole": role.superuser,
            "rolcreatedb": role.superuser,
            "rolcanlogin": role.can_login,
            "rolconnlimit": -1,
            "rolpassword": "********",
        }
    for name, oid in PREDEFINED_ROLES.items():
        yield {
            "oid": oid,
            "rolname": name,
            "rolinherit": True,
            "rolconnlimit": -1,
            "rolpassword": "********",
        }


@rows_of("pg_catalog.pg_user")
def _users(catalog: Catalog, context: ExecContext) -> Rows:
    for role in catalog.roles:
        if role.can_login:
            yield {
                "usename": role.name,
                "usesysid": role.oid,
                "usecreatedb": role.superuser,
                "usesuper": role.superuser,
                "passwd": "********",
            }


@rows_of("pg_catalog.pg_group")
def _groups(catalog: Catalog, context: ExecContext) -> Rows:
    for role in catalog.roles:
        if not role.can_login:
            yield {"groname": role.name, "grosysid": role.oid, "grolist": []}


@rows_of("pg_catalog.pg_settings")
def _settings(catalog: Catalog, context: ExecContext) -> Rows:
    for key, shown in sorted(context.session.variables.items()):
        parameter = PARAMETERS.get(key)
        if key in HIDDEN:
            continue
        if parameter is None:
            yield {"name": key, "setting": shown, "context": "user", "vartype": "string"}
            continue
        is_number = parameter.kind in ("integer", "real")
        yield {
            "name": parameter.name,
            "setting": canonical(parameter, shown) if is_number else shown,
            "unit": parameter.unit or None,
            "category": parameter.category,
            "short_desc": parameter.description,
            "context": parameter.context,
            "vartype": parameter.kind,
            "source": "default",
            "min_val": f"{parameter.low:g}" if is_number else None,
            "max_val": f"{parameter.high:.15g}" if is_number else None,
            "enumvals": list(parameter.values) or None,
            "boot_val": parameter.default,
            "reset_val": parameter.default,
        }


@rows_of("pg_catalog.pg_stat_activity")
def _activity(catalog: Catalog, context: ExecContext) -> Rows:
    """Yield the sessions of this process; those of others only the gateway knows."""
    own = context.session
    yield _session_row(catalog, own) | {
        "xact_start": context.txn_start_micros,
        "query_start": context.statement_micros,
        "state_change": context.statement_micros,
        "state": "active",
        "query": context.txn.statement,
    }
    for other in own.activity() if own.activity is not None else ():
        if other.info is own:
            continue
        wait_type, wait_event = other.info.wait_event or (None, None)
        yield _session_row(catalog, other.info) | {
            "backend_start": other.backend_start,
            "xact_start": other.xact_start,
            "wait_event_type": wait_type,
            "wait_event": wait_event,
            "state": other.state,
            "query": other.query,
        }


def _session_row(catalog: Catalog, session: SessionInfo) -> dict[str, Any]:
    database = catalog.databases.get(session.database)
    return {
        "datid": database.id if database is not None else 0,
        "datname": session.database,
        "pid": session.backend_pid,
        "usesysid": owner_oid(catalog, session.user),
        "usename": session.user,
        "application_name": session.application_name,
        "client_addr": session.client_address,
        "backend_type": "client backend",
    }


@rows_of("pg_catalog.pg_stat_statements")
def _statements(catalog: Catalog, context: ExecContext) -> Rows:
    """Yield what kinds of statements this process has run; there is no extension to create."""
    session = context.session
    database = catalog.databases.get(session.database)
    for entry in session.statements or ():
        calls = entry.calls
        mean_s = entry.exec_s / calls if calls else 0.0
        spread = entry.exec_s_squares / calls - mean_s * mean_s if calls else 0.0
        yield {
            "userid": owner_oid(catalog, session.user),
            "dbid": database.id if database is not None else 0,
            "toplevel": True,
            "queryid": entry.query_id,
            "query": entry.text,
            "calls": calls,
            "total_exec_time": entry.exec_s * 1e3,
            "min_exec_time": entry.exec_s_min * 1e3 if calls else 0.0,
            "max_exec_time": entry.exec_s_max * 1e3,
            "mean_exec_time": mean_s * 1e3,
            "stddev_exec_time": math.sqrt(max(spread, 0.0)) * 1e3,
            "rows": entry.row_count,
            "ru": entry.ru_micro / MICRO,
        }


@rows_of("pg_catalog.pg_timezone_names")
def _time_zones(catalog: Catalog, context: ExecContext) -> Rows:
    now_s = context.statement_micros // _MICROS_PER_S
    for name in sorted(available_timezones()):
        offset_s = zone_by_name(name).offset_s_at(now_s * _MICROS_PER_S)
        yield {
            "name": name,
            "abbrev": name.rsplit("/", 1)[-1],
            "utc_offset": Interval(0, 0, offset_s * _MICROS_PER_S),
            "is_dst": False,
        }
