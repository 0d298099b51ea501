"""What pg_type says about types beyond sqlnode.types: alignment, storage, input functions."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple


class Physical(NamedTuple):
    """What pg_type says about a type beyond TypeInfo: a line of types.txt."""

    kind: str
    align: str
    storage: str
    collation: int
    element: int
    functions: tuple[tuple[int, str], ...]  # input, output, receive, send, typmod in and out, …


def _read() -> Iterator[tuple[int, Physical]]:
    text = files("sqlnode.catalog.system").joinpath("types.txt").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            oid, kind, align, storage, collation, element, functions = line.split("|")
            pairs = (pair.split(":") for pair in functions.split(" "))
            named = tuple((int(number), name) for number, name in pairs)
            yield int(oid), Physical(kind, align, storage, int(collation), int(element), named)


PHYSICAL: Final = dict(_read())
IO_FUNCTIONS: Final = {
    number: name for found in PHYSICAL.values() for number, name in found.functions if number
}


class OperatorClass(NamedTuple):
    """The default btree operator class of a type: a line of opclasses.txt."""

    oid: int
    name: str
    family: int
    family_name: str
    type_oid: int
    key_type: int


def _read_classes() -> Iterator[OperatorClass]:
    text = files("sqlnode.catalog.system").joinpath("opclasses.txt").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            oid, name, family, family_name, type_oid, key_type = line.split("|")
            numbers = int(type_oid), int(key_type)
            yield OperatorClass(int(oid), name, int(family), family_name, *numbers)


OPERATOR_CLASSES: Final = {found.type_oid: found for found in _read_classes()}
_VARCHAR_OID, _TEXT_OID = 1043, 25


def operator_class_oid(type_oid: int) -> int:
    """Return the operator class an index uses for a column type."""
    known = OPERATOR_CLASSES.get(_TEXT_OID if type_oid == _VARCHAR_OID else type_oid)
    return known.oid if known is not None else 0


def _read_descriptions() -> Iterator[tuple[int, str]]:
    text = files("sqlnode.catalog.system").joinpath("descriptions.txt").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            oid, _, description = line.partition("|")
            yield int(oid), description


DESCRIPTIONS: Final = dict(_read_descriptions())
