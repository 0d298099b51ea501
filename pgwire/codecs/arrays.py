"""Arrays and records as text and binary, over the codec of the element type.

Source: PostgreSQL's arrayfuncs.c and rowtypes.c. Lower bounds other than 1 are not kept by our
datums and therefore refused.
"""

import re
import struct
from collections.abc import Callable
from typing import Any, Final

from pgwire.codecs.scalars import SPACE
from pgwire.codecs.settings import Settings
from pgwire.datum import Datum
from pgwire.errors import (
    FeatureNotSupported,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    ProgramLimitExceeded,
)

DIMENSIONS_MAX: Final = 6
ELEMENT_COUNT_MAX: Final = 134_217_727
_NEEDS_QUOTES: Final = re.compile(r'["\\{},\s]')
_ESCAPE: Final = re.compile(r'(["\\])')
_BOUNDS: Final = re.compile(r"\s*((?:\[[+-]?[0-9]+(?::[+-]?[0-9]+)?\])+)\s*=\s*")
_BOUND: Final = re.compile(r"\[([+-]?[0-9]+)(?::([+-]?[0-9]+))?\]")
_PIECE: Final = re.compile(r'[^"\\{},]+')

TextIn = Callable[[str, Settings | None], Datum]
TextOut = Callable[[Datum], str]


def _quoted(text: str) -> str:
    if not text or _NEEDS_QUOTES.search(text) is not None or text.upper() == "NULL":
        return '"' + _ESCAPE.sub(r"\\\1", text) + '"'
    return text


def array_output(element_out: TextOut) -> TextOut:
    """Return the function that writes an array of elements written by `element_out`."""

    def array_out(value: list[Any]) -> str:
        parts = [
            "NULL"
            if item is None
            else array_out(item)
            if isinstance(item, list)
            else _quoted(element_out(item))
            for item in value
        ]
        return "{" + ",".join(parts) + "}"

    return array_out


class _ArrayReader:
    """Recursive reader of one array literal."""

    def __init__(self, text: str, element_in: TextIn, settings: Settings | None) -> None:
        self.text = text
        self.element_in = element_in
        self.settings = settings
        self.at = 0

    def malformed(self, detail: str) -> InvalidTextRepresentation:
        return InvalidTextRepresentation(f'malformed array literal: "{self.text}"', detail=detail)

    def skip_space(self) -> str:
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def read(self) -> list[Any]:
        bounds: list[int] = []
        if (match := _BOUNDS.match(self.text)) is not None:
            self.at = match.end()
            bounds = self._bounds(match[1])
        elif self.skip_space() == "[":
            raise self.malformed('"[" must introduce explicitly-specified array dimensions.')
        if self.skip_space() != "{":
            raise self.malformed('Array value must start with "{" or dimension information.')
        value = self._array(1)
        if self.skip_space():
            raise self.malformed("Junk after closing right brace.")
        shape = self._shape(value)
        if bounds and bounds != shape:
            raise self.malformed("Specified array dimensions do not match array contents.")
        return [] if 0 in shape else value

    def _bounds(self, text: str) -> list[int]:
        sizes = []
        for low, high in _BOUND.findall(text):
            lower, upper = (int(low), int(high)) if high else (1, int(low))
            if upper < lower:
                raise self.malformed("Upper bound cannot be less than lower bound.")
            if lower != 1:
                raise FeatureNotSupported("array lower bounds other than 1 are not supported")
            sizes.append(upper)
        return sizes

    def _array(self, depth: int) -> list[Any]:
        if depth > DIMENSIONS_MAX:
            raise ProgramLimitExceeded(
                f"number of array dimensions exceeds the maximum allowed ({DIMENSIONS_MAX})"
            )
        self.at += 1
        items: list[Any] = []
        if self.skip_space() == "}":
            if depth > 1:
                raise self.malformed('Unexpected "}" character.')
            self.at += 1
            return items
        while True:
            items.append(self._array(depth + 1) if self.skip_space() == "{" else self._element())
            follower = self.skip_space()
            self.at += 1
            if follower == "}":
                return items
            if follower != ",":
                if not follower:
                    raise self.malformed("Unexpected end of input.")
                raise self.malformed(f'Unexpected "{follower}" character.')

    def _element(self) -> Datum:
        if self.skip_space() == '"':
            return self.element_in(self._quoted_text(), self.settings)
        start, pieces, is_escaped = self.at, [], False
        while self.at < len(self.text):
            if (match := _PIECE.match(self.text, self.at)) is not None:
                pieces.append(match[0])
                self.at = match.end()
            elif self.text[self.at] == "\\" and self.at + 1 < len(self.text):
                pieces.append(self.text[self.at + 1])
                self.at += 2
                is_escaped = True
            else:
                break
        raw = "".join(pieces)
        text = raw if is_escaped else raw.rstrip(SPACE)
        if self.at == start or not text:
            found = self.text[self.at] if self.at < len(self.text) else ""
            raise self.malformed(
                f'Unexpected "{found}" character.' if found else "Unexpected end of input."
            )
        if not is_escaped and text.upper() == "NULL":
            return None
        return self.element_in(text, self.settings)

    def _quoted_text(self) -> str:
        self.at += 1
        pieces: list[str] = []
        text = self.text
        while self.at < len(text):
            character = text[self.at]
            if character == '"':
                self.at += 1
                return "".join(pieces)
            if character == "\\":
                self.at += 1
                character = text[self.at : self.at + 1]
            pieces.append(character)
            self.at += 1
        raise self.malformed("Unexpected end of input.")

    def _shape(self, value: Any) -> list[int]:
        """Return the sizes of every dimension; raise unless sub-arrays agree."""
        if not isinstance(value, list):
            return []
        shapes = [self._shape(item) for item in value]
        if any(shape != shapes[0] for shape in shapes):
            raise self.malformed(
                "Multidimensional arrays must have sub-arrays with matching dimensions."
            )
        return [len(value), *(shapes[0] if shapes else [])]


def array_input(element_in: TextIn) -> TextIn:
    """Return the function that reads an array of elements read by `element_in`."""

    def array_in(text: str, settings: Settings | None = None) -> list[Any]:
        return _ArrayReader(text, element_in, settings).read()

    return array_in


def vector_out(value: list[int]) -> str:
    """Write an int2vector or oidvector: numbers with blanks between."""
    return " ".join(map(str, value))


def vector_input(element_in: TextIn) -> TextIn:
    """Return the function that reads an int2vector or oidvector."""

    def vector_in(text: str, settings: Settings | None = None) -> list[int]:
        return [element_in(word, settings) for word in text.split()]

    return vector_in


def array_binary_output(
    element_oid: int, element_out: Callable[[Datum], bytes], lower_bound: int = 1
) -> Callable[[Datum], bytes]:
    """Return the function that encodes an array: dimensions, null flag, element OID, elements."""

    def array_binary_out(value: list[Any]) -> bytes:
        sizes: list[int] = []
        level: Any = value
        while isinstance(level, list) and level:
            sizes.append(len(level))
            level = level[0]
        flat: list[Any] = value
        for _ in sizes[1:]:
            flat = [item for part in flat for item in part]
        has_null = any(item is None for item in flat)
        parts = [struct.pack("!iiI", len(sizes), has_null, element_oid)]
        parts += [struct.pack("!ii", size, lower_bound) for size in sizes]
        for item in flat:
            if item is None:
                parts.append(b"\xff\xff\xff\xff")
            else:
                data = element_out(item)
                parts.append(len(data).to_bytes(4, "big"))
                parts.append(data)
        return b"".join(parts)

    return array_binary_out


def array_binary_input(
    element_oid: int, element_in: Callable[[bytes, Settings | None], Datum]
) -> Callable[[bytes, Settings | None], Datum]:
    """Return the function that decodes an array of elements decoded by `element_in`."""

    def array_binary_in(data: bytes, settings: Settings | None = None) -> list[Any]:
        try:
            return _decode_array(data, element_oid, element_in, settings)
        except struct.error:
            raise InvalidBinaryRepresentation("insufficient data left in message") from None

    return array_binary_in


def _decode_dimensions(data: bytes, element_oid: int) -> tuple[list[int], int]:
    """Return the sizes of an encoded array and where its elements start."""
    dimension_count, flags, oid = struct.unpack_from("!iiI", data)
    if not 0 <= dimension_count <= DIMENSIONS_MAX or flags not in (0, 1):
        raise InvalidBinaryRepresentation("invalid array header")
    if oid != element_oid:
        raise InvalidBinaryRepresentation("wrong element type")
    at = 12
    sizes: list[int] = []
    for _ in range(dimension_count):
        size, lower = struct.unpack_from("!ii", data, at)
        if size < 0:
            raise InvalidBinaryRepresentation("invalid array size")
        if lower not in (0, 1):
            raise FeatureNotSupported("array lower bounds other than 1 are not supported")
        sizes.append(size)
        at += 8
    return sizes, at


def _decode_array(
    data: bytes,
    element_oid: int,
    element_in: Callable[[bytes, Settings | None], Datum],
    settings: Settings | None,
) -> list[Any]:
    sizes, at = _decode_dimensions(data, element_oid)
    count = 1 if sizes else 0
    for size in sizes:
        count *= size
    if count > ELEMENT_COUNT_MAX or count * 4 > len(data) - at:
        raise InvalidBinaryRepresentation("insufficient data left in message")
    flat: list[Any] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", data, at)
        at += 4
        if length == -1:
            flat.append(None)
            continue
        if not 0 <= length <= len(data) - at:
            raise InvalidBinaryRepresentation("insufficient data left in message")
        flat.append(element_in(data[at : at + length], settings))
        at += length
    if at != len(data):
        raise InvalidBinaryRepresentation("incorrect binary data format")
    if not count:
        return []
    for size in reversed(sizes[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat
