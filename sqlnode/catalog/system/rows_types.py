"""Rows about types and functions: pg_type, pg_proc, pg_aggregate, pg_operator, pg_cast, pg_am…."""

from collections.abc import Iterator
from typing import Any, Final

from sqlnode.catalog.descriptors import TableDesc, ViewDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.oids import (
    BOOTSTRAP_ROLE_OID,
    BTREE_AM_OID,
    C_COLLATION_OID,
    DEFAULT_COLLATION_OID,
    HEAP_AM_OID,
    PG_CATALOG_OID,
    ROW_ARRAY_TYPE,
    ROW_TYPE,
    UTF8_ENCODING,
    derived_oid,
)
from sqlnode.catalog.system.physical_types import IO_FUNCTIONS, OPERATOR_CLASSES, PHYSICAL
from sqlnode.catalog.system.rows_relations import owner_oid
from sqlnode.context import ExecContext
from sqlnode.functions.registry import REGISTRY, Aggregate, Function, WindowFunction
from sqlnode.types import BY_NAME, TYPES, SqlType, format_stored_type, format_type

Rows = Iterator[dict[str, Any]]
_FIRST_FUNCTION_OID: Final = 6000  # entries that carry no OID of pg_proc are numbered from here


@rows_of("pg_catalog.pg_type")
def _types(catalog: Catalog, context: ExecContext) -> Rows:
    for info in TYPES.values():
        found = PHYSICAL[info.oid]
        functions = [number for number, _ in found.functions]
        yield {
            "oid": info.oid,
            "typname": info.name,
            "typnamespace": PG_CATALOG_OID,
            "typowner": BOOTSTRAP_ROLE_OID,
            "typlen": info.length,
            "typbyval": info.length in (1, 2, 4, 8),
            "typtype": found.kind,
            "typcategory": info.category,
            "typispreferred": info.preferred,
            "typisdefined": True,
            "typdelim": ",",
            "typsubscript": functions[6],
            "typelem": found.element,
            "typarray": info.array_oid,
            "typinput": functions[0],
            "typoutput": functions[1],
            "typreceive": functions[2],
            "typsend": functions[3],
            "typmodin": functions[4],
            "typmodout": functions[5],
            "typalign": found.align,
            "typstorage": found.storage,
            "typtypmod": -1,
            "typcollation": found.collation,
        }
    for relation in catalog.relations.values():
        if isinstance(relation, TableDesc | ViewDesc):
            yield _row_type(catalog, relation)
            yield _row_array_type(catalog, relation)


def _row_type(catalog: Catalog, relation: TableDesc | ViewDesc) -> dict[str, Any]:
    return {
        "oid": derived_oid(relation.id, ROW_TYPE),
        "typarray": derived_oid(relation.id, ROW_ARRAY_TYPE),
        **_io_functions("record"),
        "typname": relation.name,
        "typnamespace": relation.schema_id,
        "typowner": owner_oid(catalog, relation.owner),
        "typlen": -1,
        "typtype": "c",
        "typcategory": "C",
        "typisdefined": True,
        "typdelim": ",",
        "typrelid": relation.id,
        "typalign": "d",
        "typstorage": "x",
        "typtypmod": -1,
    }


def _row_array_type(catalog: Catalog, relation: TableDesc | ViewDesc) -> dict[str, Any]:
    return {
        **_row_type(catalog, relation),
        "oid": derived_oid(relation.id, ROW_ARRAY_TYPE),
        "typname": f"_{relation.name}"[:63],
        "typtype": "b",
        "typcategory": "A",
        "typrelid": 0,
        "typelem": derived_oid(relation.id, ROW_TYPE),
        "typarray": 0,
        **_io_functions("_record"),
    }


def _io_functions(type_name: str) -> dict[str, int]:
    functions = PHYSICAL[BY_NAME[type_name].oid].functions
    columns = ("typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout")
    numbers = dict(zip(columns, (number for number, _ in functions), strict=False))
    return {**numbers, "typsubscript": functions[6][0]}


def _numbered() -> dict[int, Function | Aggregate | WindowFunction]:
    entries: dict[int, Function | Aggregate | WindowFunction] = {}
    number = _FIRST_FUNCTION_OID
    for group in (REGISTRY.functions, REGISTRY.aggregates, REGISTRY.window_functions):
        for overloads in group.values():
            for entry in overloads:
                number += 1
                entries[entry.oid or number] = entry
    return entries


_NUMBERED: Final[dict[int, Function | Aggregate | WindowFunction]] = {}


def _numbered_once() -> dict[int, Function | Aggregate | WindowFunction]:
    if not _NUMBERED:  # the registry is complete only after every module is imported
        _NUMBERED.update(_numbered())
    return _NUMBERED


def io_function_name(oid: int) -> str | None:
    """Return the name of a type's input or output function."""
    return IO_FUNCTIONS.get(oid)


def function_by_oid(oid: int) -> Function | Aggregate | WindowFunction | None:
    """Return a registry entry by its OID in pg_proc."""
    return _numbered_once().get(oid)


def function_oids(name: str) -> list[int]:
    """Return the OIDs of all functions of a name, type input and output functions included."""
    known = ((oid, entry.name) for oid, entry in _numbered_once().items())
    return [oid for oid, found in (*known, *IO_FUNCTIONS.items()) if found == name]


@rows_of("pg_catalog.pg_proc")
def _functions(catalog: Catalog, context: ExecContext) -> Rows:
    for oid, entry in _numbered_once().items():
        kind = {Function: "f", Aggregate: "a", WindowFunction: "w"}[type(entry)]
        yield {
            "oid": oid,
            "proname": entry.name,
            "pronamespace": PG_CATALOG_OID,
            "proowner": BOOTSTRAP_ROLE_OID,
            "prolang": 12,
            "procost": 1.0,
            "prorows": 1000.0 if getattr(entry, "returns_set", False) else 0.0,
            "prokind": kind,
            "proisstrict": getattr(entry, "strict", False),
            "proretset": getattr(entry, "returns_set", False),
            "provolatile": str(getattr(entry, "volatility", "i")),
            "proparallel": "s",
            "pronargs": len(entry.arguments),
            "pronargdefaults": getattr(entry, "defaults", 0),
            "prorettype": entry.result.oid,
            "proargtypes": [argument.oid for argument in entry.arguments],
            "prosrc": entry.name,
        }
    for oid, name in IO_FUNCTIONS.items():
        yield {"oid": oid, "proname": name, "pronamespace": PG_CATALOG_OID, "prokind": "f"}


@rows_of("pg_catalog.pg_aggregate")
def _aggregates(catalog: Catalog, context: ExecContext) -> Rows:
    for oid, entry in _numbered_once().items():
        if isinstance(entry, Aggregate):
            yield {"aggfnoid": oid, "aggkind": "o" if entry.ordered_set else "n"}


@rows_of("pg_catalog.pg_operator")
def _operators(catalog: Catalog, context: ExecContext) -> Rows:
    oids = {id(entry): oid for oid, entry in _numbered_once().items()}
    number = _FIRST_FUNCTION_OID * 2
    for overloads in REGISTRY.operators.values():
        for operator in overloads:
            number += 1
            yield {
                "oid": number,
                "oprname": operator.symbol,
                "oprnamespace": PG_CATALOG_OID,
                "oprowner": BOOTSTRAP_ROLE_OID,
                "oprkind": "b" if operator.left is not None else "l",
                "oprleft": operator.left.oid if operator.left is not None else 0,
                "oprright": operator.right.oid,
                "oprresult": operator.function.result.oid,
                "oprcode": oids.get(id(operator.function), 0),
            }


@rows_of("pg_catalog.pg_cast")
def _casts(catalog: Catalog, context: ExecContext) -> Rows:
    for number, rule in enumerate(REGISTRY.casts.values(), start=1):
        yield {
            "oid": _FIRST_FUNCTION_OID * 3 + number,
            "castsource": rule.source.oid,
            "casttarget": rule.target.oid,
            "castcontext": "eai"[rule.context],
            "castmethod": "b" if rule.function is None else "f",
        }


@rows_of("pg_catalog.pg_am")
def _access_methods(catalog: Catalog, context: ExecContext) -> Rows:
    yield {"oid": HEAP_AM_OID, "amname": "heap", "amtype": "t"}
    yield {"oid": BTREE_AM_OID, "amname": "btree", "amtype": "i"}


@rows_of("pg_catalog.pg_opclass")
def _operator_classes(catalog: Catalog, context: ExecContext) -> Rows:
    for found in OPERATOR_CLASSES.values():
        yield {
            "oid": found.oid,
            "opcmethod": BTREE_AM_OID,
            "opcname": found.name,
            "opcnamespace": PG_CATALOG_OID,
            "opcowner": BOOTSTRAP_ROLE_OID,
            "opcfamily": found.family,
            "opcintype": found.type_oid,
            "opcdefault": True,
            "opckeytype": found.key_type,
        }


@rows_of("pg_catalog.pg_opfamily")
def _operator_families(catalog: Catalog, context: ExecContext) -> Rows:
    families = {found.family: found.family_name for found in OPERATOR_CLASSES.values()}
    for oid, name in families.items():
        yield {
            "oid": oid,
            "opfmethod": BTREE_AM_OID,
            "opfname": name,
            "opfnamespace": PG_CATALOG_OID,
            "opfowner": BOOTSTRAP_ROLE_OID,
        }


@rows_of("pg_catalog.pg_collation")
def _collations(catalog: Catalog, context: ExecContext) -> Rows:
    for oid, name in ((DEFAULT_COLLATION_OID, "default"), (C_COLLATION_OID, "C"), (951, "POSIX")):
        yield {
            "oid": oid,
            "collname": name,
            "collnamespace": PG_CATALOG_OID,
            "collowner": BOOTSTRAP_ROLE_OID,
            "collprovider": "d" if name == "default" else "c",
            "collisdeterministic": True,
            "collencoding": UTF8_ENCODING if name == "default" else -1,
            "collcollate": "C",
            "collctype": "C",
        }


@rows_of("pg_catalog.pg_language")
def _languages(catalog: Catalog, context: ExecContext) -> Rows:
    yield {"oid": 12, "lanname": "internal", "lanowner": BOOTSTRAP_ROLE_OID}


def type_name(oid: int, typmod: int | None) -> str | None:
    """Return what format_type prints: `???` for a type that does not exist."""
    if oid == 0:
        return "-"
    if oid not in TYPES:
        return "???"
    return format_type(SqlType(oid)) if typmod is None else format_stored_type(SqlType(oid, typmod))
