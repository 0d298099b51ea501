"""System information functions: what psql, ORMs and dashboards ask the catalog about.

Source: PostgreSQL docs, section 9.26 "System Information Functions".
"""

from typing import Any, Final

from sqlnode.catalog.descriptors import PUBLIC_SCHEMA_ID, SequenceDesc, TableDesc, ViewDesc
from sqlnode.catalog.reg_names import reg_text
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.expressions import shown_expression
from sqlnode.catalog.system.oids import owner_and_part
from sqlnode.catalog.system.physical_types import DESCRIPTIONS
from sqlnode.catalog.system.rows_constraints import (
    constraint_definition,
    find_index,
    index_definition,
    schema_name,
)
from sqlnode.catalog.system.rows_relations import role_name
from sqlnode.catalog.system.rows_types import function_by_oid, type_name
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.context import ExecContext
from sqlnode.functions.define import STABLE, function
from sqlnode.plan.quoting import quote_name
from sqlnode.types import REGTYPE, TYPES, format_type

_CONTEXT: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}
_ENCODINGS: Final = {0: "SQL_ASCII", 6: "UTF8"}


def _format_type(ctx: ExecContext, oid: int | None, typmod: int | None = None) -> str | None:
    if oid is None:
        return None
    if owner_and_part(oid) is not None:
        return reg_text(REGTYPE.oid, oid, ctx.catalog, ctx.session.search_path)
    return type_name(oid, typmod)


function("format_type(oid, int4) text", _format_type, strict=False, **_CONTEXT)


def _relation(catalog: Catalog, oid: int) -> TableDesc | ViewDesc | SequenceDesc | None:
    found = catalog.by_id.get(oid)
    return found if isinstance(found, TableDesc | ViewDesc | SequenceDesc) else None


def _table_is_visible(ctx: ExecContext, oid: int) -> bool | None:
    path = ctx.session.search_path
    if (relation := _relation(ctx.catalog, oid)) is not None:
        return ctx.catalog.find_relation(relation.name, None, path) is relation
    if (index := find_index(ctx.catalog, oid)) is not None:
        return schema_name(ctx.catalog, index[0].schema_id) in path
    for virtual in VIRTUAL.values():
        if virtual.oid == oid:
            return virtual.schema == "pg_catalog" or virtual.schema in path
    return None


def _type_is_visible(ctx: ExecContext, oid: int) -> bool | None:
    if oid in TYPES:
        return True
    owner, _ = owner_and_part(oid) or (0, 0)
    return _table_is_visible(ctx, owner)


def _function_is_visible(ctx: ExecContext, oid: int) -> bool | None:
    return True if function_by_oid(oid) is not None else None


function("pg_table_is_visible(oid) bool", _table_is_visible, **_CONTEXT)
function("pg_type_is_visible(oid) bool", _type_is_visible, **_CONTEXT)
function("pg_function_is_visible(oid) bool", _function_is_visible, **_CONTEXT)
for _kind in ("operator", "opclass", "opfamily", "collation", "conversion"):
    function(f"pg_{_kind}_is_visible(oid) bool", lambda ctx, oid: True, **_CONTEXT)
for _kind in ("ts_config", "ts_dict", "ts_parser", "ts_template", "statistics_obj"):
    function(f"pg_{_kind}_is_visible(oid) bool", lambda ctx, oid: None, **_CONTEXT)


def _user_name(ctx: ExecContext, oid: int) -> str:
    return role_name(ctx.catalog, oid) or f"unknown (OID={oid})"


function("pg_get_userbyid(oid) name", _user_name, **_CONTEXT)


def _expression(ctx: ExecContext, text: str, relation: int, pretty: bool = False) -> str:
    table = ctx.catalog.by_id.get(relation)
    if not isinstance(table, TableDesc):
        return text
    return shown_expression(ctx.catalog, table, text, ctx.session.search_path, pretty=pretty)


function("pg_get_expr(pg_node_tree, oid) text", _expression, **_CONTEXT)
function("pg_get_expr(pg_node_tree, oid, bool) text", _expression, **_CONTEXT)


def _constraint(ctx: ExecContext, oid: int, pretty: bool = False) -> str | None:
    return constraint_definition(ctx.catalog, oid, ctx.session.search_path, pretty=pretty)


function("pg_get_constraintdef(oid) text", _constraint, **_CONTEXT)
function("pg_get_constraintdef(oid, bool) text", _constraint, **_CONTEXT)


def _index(ctx: ExecContext, oid: int, column: int = 0, pretty: bool = False) -> str | None:
    if column == 0:
        path = ctx.session.search_path
        return index_definition(ctx.catalog, oid, qualified=not pretty, path=path)
    if (found := find_index(ctx.catalog, oid)) is None:
        return None
    table, index = found
    if column > len(index.columns):
        return ""
    return quote_name(table.column(index.columns[column - 1].attnum).name)


function("pg_get_indexdef(oid) text", _index, **_CONTEXT)
function("pg_get_indexdef(oid, int4, bool) text", _index, **_CONTEXT)


def _view(ctx: ExecContext, oid: int, pretty: Any = False) -> str | None:
    found = ctx.catalog.by_id.get(oid)
    return f" {found.sql};" if isinstance(found, ViewDesc) else None


function("pg_get_viewdef(oid) text", _view, **_CONTEXT)
function("pg_get_viewdef(oid, bool) text", _view, **_CONTEXT)
function("pg_get_viewdef(oid, int4) text", _view, **_CONTEXT)


def _serial_sequence(ctx: ExecContext, table_name: str, column_name: str) -> str | None:
    schema, _, name = table_name.rpartition(".")
    found = ctx.catalog.find_relation(
        name.strip('"'), schema.strip('"') or None, ctx.session.search_path
    )
    if not isinstance(found, TableDesc) or (column := found.find_column(column_name)) is None:
        return None
    sequence = ctx.catalog.by_id.get(column.sequence_id)
    if not isinstance(sequence, SequenceDesc):
        return None
    return f"{schema_name(ctx.catalog, sequence.schema_id)}.{quote_name(sequence.name)}"


function("pg_get_serial_sequence(text, text) text", _serial_sequence, **_CONTEXT)


def _arguments(ctx: ExecContext, oid: int) -> str | None:
    entry = function_by_oid(oid)
    return None if entry is None else ", ".join(format_type(a) for a in entry.arguments)


def _result(ctx: ExecContext, oid: int) -> str | None:
    entry = function_by_oid(oid)
    if entry is None:
        return None
    is_set = getattr(entry, "returns_set", False)
    return ("SETOF " if is_set else "") + format_type(entry.result)


function("pg_get_function_arguments(oid) text", _arguments, **_CONTEXT)
function("pg_get_function_identity_arguments(oid) text", _arguments, **_CONTEXT)
function("pg_get_function_result(oid) text", _result, **_CONTEXT)


def _comment(ctx: ExecContext, oid: int, catalog_name: str = "pg_class") -> str | None:
    if catalog_name == "pg_class":
        found = ctx.catalog.by_id.get(oid)
        return found.comment if isinstance(found, TableDesc) else None
    if catalog_name == "pg_namespace" and oid == PUBLIC_SCHEMA_ID:
        return "standard public schema"
    return DESCRIPTIONS.get(oid) if catalog_name == "pg_type" else None


function("obj_description(oid, name) text", _comment, **_CONTEXT)
function("obj_description(oid) text", _comment, **_CONTEXT)
function("col_description(oid, int4) text", lambda oid, number: None, volatility=STABLE)
function("shobj_description(oid, name) text", lambda oid, name: None, volatility=STABLE)
function("pg_encoding_to_char(int4) name", lambda number: _ENCODINGS.get(number, ""))
function("pg_char_to_encoding(name) int4", lambda name: 6 if name.upper() == "UTF8" else -1)


def _owns(ctx: ExecContext, owner: str, user: str) -> bool:
    is_superuser = any(r.superuser for r in ctx.catalog.roles if r.name == user)
    return is_superuser or owner == user


def _may_use(ctx: ExecContext, user: str, oid: int) -> bool | None:
    relation = _relation(ctx.catalog, oid)
    if relation is not None:
        return _owns(ctx, relation.owner, user)
    return True if any(v.oid == oid for v in VIRTUAL.values()) else None


function(
    "has_table_privilege(oid, text) bool",
    lambda ctx, oid, privilege: _may_use(ctx, ctx.session.user, oid),
    **_CONTEXT,
)
function(
    "has_table_privilege(name, oid, text) bool",
    lambda ctx, user, oid, privilege: _may_use(ctx, user, oid),
    **_CONTEXT,
)
for _kind in ("schema", "database", "function", "type"):
    function(f"has_{_kind}_privilege(oid, text) bool", lambda oid, privilege: True)
    function(f"has_{_kind}_privilege(text, text) bool", lambda name, privilege: True)


_SIZE_UNITS: Final = (  # name, largest value shown in it, is it rounded, log2 of its bytes
    ("bytes", 10 * 1024, False, 0),
    ("kB", 20 * 1024 - 1, True, 10),
    ("MB", 20 * 1024 - 1, True, 20),
    ("GB", 20 * 1024 - 1, True, 30),
    ("TB", 20 * 1024 - 1, True, 40),
    ("PB", 20 * 1024 - 1, True, 50),
)


def size_pretty(size: int) -> str:
    """Print a number of bytes as pg_size_pretty does.

    >>> size_pretty(10239), size_pretty(10240), size_pretty(-20_000_000)
    ('10239 bytes', '10 kB', '-19 MB')
    """
    sign, size = (-1 if size < 0 else 1), abs(size)
    for index, (name, limit, is_rounded, bits) in enumerate(_SIZE_UNITS):
        if size < limit or index + 1 == len(_SIZE_UNITS):
            shown = (size + 1) // 2 if is_rounded else size
            return f"{sign * shown} {name}"
        following = _SIZE_UNITS[index + 1]
        size >>= following[3] - bits - following[2] + is_rounded
    raise AssertionError("the last unit takes everything")


function("pg_size_pretty(int8) text", size_pretty)
