"""Functions over text and bytea that need no pattern. Characters are code points."""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Final

from pgwire.errors import (
    InvalidParameterValue,
    NumericValueOutOfRange,
    ProgramLimitExceeded,
    SubstringError,
)
from sqlnode.functions.define import duck_each, duck_error, function, operator

_LENGTH_MAX: Final = 1 << 30  # MaxAllocSize


def _mapped(text: str, convert: Callable[[str], str], exceptions: dict[str, str]) -> str:
    out = []
    for character in text:
        converted = exceptions.get(character) or convert(character)
        out.append(converted if len(converted) == 1 else _TITLES.get(character, character))
    return "".join(out)


# Characters whose upper case is two characters in full, and one in towupper().
_TITLES: Final = {chr(code): chr(code + 8) for block in range(0x1F80, 0x1FB0, 16)
                  for code in range(block, block + 8)} | {
    "\u1fb3": "\u1fbc", "\u1fc3": "\u1fcc", "\u1ff3": "\u1ffc"}  # fmt: skip


def upper(text: str) -> str:
    """Map to upper case one character to one, as towupper() does: ß has none here."""
    converted = text.upper()
    if len(converted) == len(text) and (text.isascii() or not _TITLES.keys() & set(text)):
        return converted
    return _mapped(text, str.upper, {})


def lower(text: str) -> str:
    """Map to lower case one character to one, as towlower() does: no final sigma."""
    if text.isascii():
        return text.lower()
    return _mapped(text, str.lower, {"\u0130": "i", "\u03a3": "\u03c3"})


def _initcap(text: str) -> str:
    out, inside = [], False
    for character in text:
        out.append(lower(character) if inside else upper(character))
        inside = character.isalnum()
    return "".join(out)


def _trim(text: str, characters: str = " ") -> str:
    return text.strip(characters) if characters else text


def _ltrim(text: str, characters: str = " ") -> str:
    return text.lstrip(characters) if characters else text


def _rtrim(text: str, characters: str = " ") -> str:
    return text.rstrip(characters) if characters else text


def _substring(text: Any, start: int, length: int | None = None) -> Any:
    first = max(start, 1)
    if length is None:
        return text[first - 1 :]
    if length < 0:
        raise SubstringError("negative substring length not allowed")
    return text[first - 1 : max(start + length, first) - 1]


def _overlay(text: Any, new: Any, start: int, length: int | None = None) -> Any:
    if length is None:
        length = len(new)
    if start <= 0:
        raise SubstringError("negative substring length not allowed")
    if start + length > 2**31 - 1:
        raise NumericValueOutOfRange("integer out of range")
    return text[: start - 1] + new + text[max(start + length - 1, 0) :]


def _left(text: str, count: int) -> str:
    return text[:count]


def _right(text: str, count: int) -> str:
    return text[max(len(text) - count, 0) :] if count >= 0 else text[-count:]


def _lpad(text: str, length: int, fill: str = " ") -> str:
    if length <= len(text):
        return text[: max(length, 0)]
    if not fill:
        return text
    _check_size(length)
    missing = length - len(text)
    return (fill * (missing // len(fill) + 1))[:missing] + text


def _rpad(text: str, length: int, fill: str = " ") -> str:
    if length <= len(text):
        return text[: max(length, 0)]
    if not fill:
        return text
    _check_size(length)
    missing = length - len(text)
    return text + (fill * (missing // len(fill) + 1))[:missing]


def _check_size(length: int) -> None:
    if length >= _LENGTH_MAX // 4:
        raise ProgramLimitExceeded("requested length too large")


def _repeat(text: str, count: int) -> str:
    if len(text) * max(count, 0) >= _LENGTH_MAX:
        raise ProgramLimitExceeded("requested length too large")
    return text * max(count, 0)


def _split_part(text: str, separator: str, index: int) -> str:
    if index == 0:
        raise InvalidParameterValue("field position must not be zero")
    parts = text.split(separator) if separator else [text]
    if not text:
        return ""
    position = index - 1 if index > 0 else len(parts) + index
    return parts[position] if 0 <= position < len(parts) else ""


def _translate(text: str, source: str, target: str) -> str:
    table: dict[int, int | None] = {}
    for index, character in enumerate(source):
        table.setdefault(ord(character), ord(target[index]) if index < len(target) else None)
    return text.translate(table)


def _replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old else text


def _chr(code: int) -> str:
    if code == 0:
        raise ProgramLimitExceeded("null character not permitted")
    if code < 0:
        raise InvalidParameterValue("character number must be positive")
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        shown = "requested character too large for encoding" if code > 0x10FFFF else (
            "requested character not valid for encoding")  # fmt: skip
        raise ProgramLimitExceeded(f"{shown}: {code}")
    return chr(code)


def _normal_form(form: str) -> str:
    if form.upper() not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise InvalidParameterValue(f"invalid normalization form: {form}")
    return form.upper()


def _normalize(text: str, form: str = "NFC") -> str:
    return unicodedata.normalize(_normal_form(form), text)  # type: ignore[arg-type]  # checked


def _is_normalized(text: str, form: str = "NFC") -> bool:
    return _normalize(text, form) == text


def _to_hex(bits: int) -> Callable[[int], str]:
    return lambda value: f"{value & ((1 << bits) - 1):x}"


def _unistr(text: str) -> str:
    pattern = re.compile(
        r"\\(?:(\\)|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4}))"
    )
    return pattern.sub(lambda m: "\\" if m[1] else chr(int(m[2] or m[3] or m[4] or m[5], 16)), text)


_NEGATIVE: Final = duck_error("22011", "negative substring length not allowed")
_DUCK_SUBSTRING: Final = duck_each(
    f"CASE WHEN v.c < 0 THEN {_NEGATIVE} ELSE substring(v.a, greatest(v.b, 1)::BIGINT, "
    "greatest(v.b::BIGINT + v.c - greatest(v.b, 1), 0)) END",
    "a",
    "b",
    "c",
)
operator("||", "textcat(text, text) text", lambda a, b: a + b, "({0} || {1})")
operator("||", "byteacat(bytea, bytea) bytea", lambda a, b: a + b, "({0} || {1})")
for _name in ("length", "char_length", "character_length"):
    function(f"{_name}(text) int4", len, "CAST(length({0}) AS INTEGER)")
    function(f"{_name}(bpchar) int4", lambda text: len(text.rstrip(" ")))
function("length(bytea) int4", len, "CAST(octet_length({0}) AS INTEGER)")
function("octet_length(text) int4", lambda text: len(text.encode()),
         "CAST(strlen({0}) AS INTEGER)")  # fmt: skip
function("octet_length(bpchar) int4", lambda text: len(text.encode()))
function("octet_length(bytea) int4", len, "CAST(octet_length({0}) AS INTEGER)")
function("bit_length(text) int4", lambda text: 8 * len(text.encode()))
function("bit_length(bytea) int4", lambda value: 8 * len(value))
# DuckDB knows a capital ß; the pieces between them go through its upper().
_UPPER_PARTS: Final = "list_transform(string_split({0}, 'ß'), lambda x: upper(x))"
function("upper(text) text", upper, f"array_to_string({_UPPER_PARTS}, 'ß')")
function("lower(text) text", lower, "lower({0})")
function("initcap(text) text", _initcap)
for _name, _compute in (("btrim", _trim), ("ltrim", _ltrim), ("rtrim", _rtrim)):
    _duck = _name.replace("b", "") if _name == "btrim" else _name
    function(f"{_name}(text) text", _compute, f"{_duck}({{0}}, ' ')")
    function(f"{_name}(text, text) text", _compute)
for _name in ("substr", "substring"):
    function(f"{_name}(text, int4) text", _substring,
             "substring({0}, greatest({1}, 1)::BIGINT)")  # fmt: skip
    function(f"{_name}(text, int4, int4) text", _substring, _DUCK_SUBSTRING)
    function(f"{_name}(bytea, int4) bytea", _substring)
    function(f"{_name}(bytea, int4, int4) bytea", _substring)
for _type in ("text", "bytea"):
    function(f"overlay({_type}, {_type}, int4, int4) {_type}", _overlay)
    function(f"overlay({_type}, {_type}, int4) {_type}", _overlay)
_DUCK_POSITION: Final = "CAST(strpos({0}, {1}) AS INTEGER)"
function("position(text, text) int4", lambda text, part: text.find(part) + 1, _DUCK_POSITION)
function("strpos(text, text) int4", lambda text, part: text.find(part) + 1, _DUCK_POSITION)
function("position(bytea, bytea) int4", lambda value, part: value.find(part) + 1)
function("replace(text, text, text) text", _replace)
function("translate(text, text, text) text", _translate)
function("left(text, int4) text", _left, "left({0}, {1}::BIGINT)")
function("right(text, int4) text", _right)
function("lpad(text, int4) text", _lpad)
function("lpad(text, int4, text) text", _lpad)
function("rpad(text, int4) text", _rpad)
function("rpad(text, int4, text) text", _rpad)
function("repeat(text, int4) text", _repeat)
function("reverse(text) text", lambda text: text[::-1])
function("split_part(text, text, int4) text", _split_part)
operator("^@", "starts_with(text, text) bool", str.startswith, "starts_with({0}, {1})")
function("chr(int4) text", _chr)
function("ascii(text) int4", lambda text: ord(text[0]) if text else 0)
function("to_hex(int4) text", _to_hex(32))
function("to_hex(int8) text", _to_hex(64))
function("normalize(text, text) text", _normalize, defaults=1)
function("is_normalized(text, text) bool", _is_normalized, defaults=1)
function("unistr(text) text", _unistr)
function("md5(text) text", lambda text: hashlib.md5(text.encode()).hexdigest(), "md5({0})")
function("md5(bytea) text", lambda value: hashlib.md5(value).hexdigest())
for _bits in (224, 256, 384, 512):
    _digest = getattr(hashlib, f"sha{_bits}")
    function(f"sha{_bits}(bytea) bytea", lambda value, digest=_digest: digest(value).digest())
