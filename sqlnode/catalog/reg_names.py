"""Names of the reg* types: what an OID prints as, as regclassout and its kin do.

Source: PostgreSQL, src/backend/utils/adt/regproc.c.
"""

from collections.abc import Callable
from typing import Final

from sqlnode.catalog.descriptors import SchemaDesc, SequenceDesc, TableDesc, ViewDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.oids import ROW_ARRAY_TYPE, ROW_TYPE, SCHEMA_OIDS, owner_and_part
from sqlnode.catalog.system.rows_constraints import find_index, visible_name
from sqlnode.catalog.system.rows_relations import role_name
from sqlnode.catalog.system.rows_types import function_by_oid, io_function_name
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.plan.quoting import quote_name
from sqlnode.types import BY_NAME, TYPES, format_type

Path = tuple[str, ...]


def _class_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    found = catalog.by_id.get(oid)
    if isinstance(found, TableDesc | ViewDesc | SequenceDesc):
        return visible_name(catalog, found, path)
    if (index := find_index(catalog, oid)) is not None:
        return quote_name(index[1].name)
    for relation in VIRTUAL.values():
        if relation.oid == oid:
            is_visible = relation.schema == "pg_catalog"
            return relation.name if is_visible else relation.qualified_name
    return None


def _type_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    if oid in TYPES:
        return format_type(BY_NAME[TYPES[oid].name])
    owner, part = owner_and_part(oid) or (0, 0)
    name = _class_name(owner, catalog, path)
    if name is None or part not in (ROW_TYPE, ROW_ARRAY_TYPE):
        return None
    return name if part == ROW_TYPE else f"{name}[]"


def _function_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    entry = function_by_oid(oid)
    return io_function_name(oid) if entry is None else quote_name(entry.name)


def _procedure_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    if (entry := function_by_oid(oid)) is None:
        return None
    arguments = ",".join(format_type(argument) for argument in entry.arguments)
    return f"{quote_name(entry.name)}({arguments})"


def _schema_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    for name, known in SCHEMA_OIDS.items():
        if known == oid:
            return name
    found = catalog.by_id.get(oid)
    return quote_name(found.name) if isinstance(found, SchemaDesc) else None


def _role_name(oid: int, catalog: Catalog, path: Path) -> str | None:
    name = role_name(catalog, oid)
    return None if name is None else quote_name(name)


_NAMERS: Final[dict[int, Callable[[int, Catalog, Path], str | None]]] = {
    BY_NAME["regclass"].oid: _class_name,
    BY_NAME["regtype"].oid: _type_name,
    BY_NAME["regproc"].oid: _function_name,
    BY_NAME["regprocedure"].oid: _procedure_name,
    BY_NAME["regnamespace"].oid: _schema_name,
    BY_NAME["regrole"].oid: _role_name,
}
REG_OIDS: Final = frozenset(_NAMERS)


def reg_text(type_oid: int, oid: int, catalog: Catalog, path: Path) -> str:
    """Return what a value of a reg* type prints as: a name, `-` for 0, else the number."""
    if oid == 0:
        return "-"
    return _NAMERS[type_oid](oid, catalog, path) or str(oid)
