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
    UTF8_ENCODING,
    derived_oid,
)
from sqlnode.catalog.system.rows_relations import owner_oid
from sqlnode.context import ExecContext
from sqlnode.functions.registry import REGISTRY, Aggregate, Function, WindowFunction
from sqlnode.types import TYPES, SqlType, TypeInfo

Rows = Iterator[dict[str, Any]]
_FIRST_FUNCTION_OID: Final = 6000  # entries that carry no OID of pg_proc are numbered from here
_PSEUDO: Final = frozenset({2249, 2275, 2276, 2277, 2278, 2283})


@rows_of("pg_catalog.pg_type")
def _types(catalog: Catalog, context: ExecContext) -> Rows:
    for info in TYPES.values():
        yield {
            "oid": info.oid,
            "typname": info.name,
            "typnamespace": PG_CATALOG_OID,
            "typowner": BOOTSTRAP_ROLE_OID,
            "typlen": info.length,
            "typbyval": info.length in (1, 2, 4, 8),
            "typtype": "p" if info.oid in _PSEUDO else "b",
            "typcategory": info.category,
            "typispreferred": info.preferred,
            "typisdefined": True,
            "typdelim": ",",
            "typelem": _element(info),
            "typarray": info.array_oid,
            "typinput": function_oid(_io_name(info, "in")),
            "typoutput": function_oid(_io_name(info, "out")),
            "typreceive": function_oid(_io_name(info, "recv")),
            "typsend": function_oid(_io_name(info, "send")),
            "typalign": "d" if info.length == 8 else "i",
            "typstorage": "p" if info.length > 0 else "x",
            "typtypmod": -1,
            "typcollation": DEFAULT_COLLATION_OID if info.category == "S" else 0,
        }
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            yield _row_type(catalog, found)


def _element(info: TypeInfo) -> int:
    return {22: 21, 30: 26, 19: 18}.get(info.oid, info.element_oid)


def _io_name(info: TypeInfo, suffix: str) -> str:
    if info.element_oid:
        return f"array_{suffix}"
    joiner = "_" if info.name in ("date", "time", "timestamp", "interval", "uuid", "json") else ""
    return f"{info.name}{joiner}{suffix}"


def _row_type(catalog: Catalog, relation: TableDesc | ViewDesc) -> dict[str, Any]:
    return {
        "oid": derived_oid(relation.id, 0),
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


def _numbered() -> dict[int, Function | Aggregate | WindowFunction]:
    entries: dict[int, Function | Aggregate | WindowFunction] = {}
    number = _FIRST_FUNCTION_OID
    for group in (REGISTRY.functions, REGISTRY.aggregates, REGISTRY.window_functions):
        for overloads in group.values():
            for entry in overloads:
                number += 1
                entries[entry.oid or number] = entry
    return entries


def function_oid(name: str) -> int:
    """Return the OID of the first function of a name, 0 if there is none.

    Type input and output functions are not in the registry, but drivers compare their OIDs with 0
    only: `array_recv` and the like get a number of their own.
    """
    known = next((oid for oid, entry in _numbered_once().items() if entry.name == name), 0)
    return known or _IO_OIDS.setdefault(name, _FIRST_FUNCTION_OID - 1 - len(_IO_OIDS))


_IO_OIDS: Final[dict[str, int]] = {}
_NUMBERED: Final[dict[int, Function | Aggregate | WindowFunction]] = {}


def _numbered_once() -> dict[int, Function | Aggregate | WindowFunction]:
    if not _NUMBERED:  # the registry is complete only after every module is imported
        _NUMBERED.update(_numbered())
    return _NUMBERED


def function_by_oid(oid: int) -> Function | Aggregate | WindowFunction | None:
    """Return a registry entry by its OID in pg_proc."""
    return _numbered_once().get(oid)


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
    for name, oid in _IO_OIDS.items():
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


def type_name(oid: int, typmod: int) -> str | None:
    """Return what format_type prints: `???` for a type that does not exist."""
    if oid == 0:
        return "-"
    return str(SqlType(oid, typmod)) if oid in TYPES else "???"
