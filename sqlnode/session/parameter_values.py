"""Parameter values: what the user wrote to canonical text, and canonical text to what SHOW prints.

**Model.** Pure. Integers with a unit are kept in the parameter's own unit, so `5s` becomes `5000`
for a parameter in ms and is shown as `5s` again.

Source: PostgreSQL, guc.c (parse_int, convert_to_base_unit, _ShowOption).
"""

import re
from typing import Final

from pgwire.codecs.settings import Settings
from pgwire.codecs.zones import zone_by_name
from pgwire.errors import FeatureNotSupported, InvalidParameterValue, SqlError
from sqlnode.session.parameter_table import Parameter

_MEMORY: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME: Final = {
    "us": 0.001,
    "ms": 1,
    "s": 1_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}
_BASE: Final = {"8kB": 8 << 10, **_MEMORY, **_TIME}
_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*")
_UTF8: Final = frozenset({"utf8", "unicode"})


def parse_bool(text: str) -> bool | None:
    """Read a boolean as PostgreSQL does, unambiguous prefixes included; None if it is none.

    >>> parse_bool("t"), parse_bool("off"), parse_bool("o")
    (True, False, None)
    """
    word = text.strip().lower()
    if not word:
        return None
    if word in ("on", "1") or "true".startswith(word) or "yes".startswith(word):
        return True
    if word in ("off", "of", "0") or "false".startswith(word) or "no".startswith(word):
        return False
    return None


def canonical(parameter: Parameter, text: str) -> str:
    """Return the canonical form of a value. Raises: InvalidParameterValue, FeatureNotSupported."""
    match parameter.kind:
        case "bool":
            return _bool(parameter, text)
        case "integer" | "real":
            return _number(parameter, text)
        case "enum":
            return _enum(parameter, text)
        case _:
            return _string(parameter, text)


def invalid(parameter: Parameter, text: str, hint: str | None = None) -> InvalidParameterValue:
    """Return the error for a value that a parameter cannot have."""
    return InvalidParameterValue(
        f'invalid value for parameter "{parameter.name}": "{text}"', hint=hint
    )


def _bool(parameter: Parameter, text: str) -> str:
    value = parse_bool(text)
    if value is None:
        raise InvalidParameterValue(f'parameter "{parameter.name}" requires a Boolean value')
    if parameter.name == "standard_conforming_strings" and not value:
        raise FeatureNotSupported("standard_conforming_strings = off is not supported")
    return "on" if value else "off"


def _enum(parameter: Parameter, text: str) -> str:
    word = text.strip().lower()
    if word in parameter.values:
        if parameter.name == "IntervalStyle" and word != "postgres":
            raise FeatureNotSupported(f'IntervalStyle "{word}" is not supported')
        return word
    if set(parameter.values) >= {"on", "off"} and (value := parse_bool(word)) is not None:
        return "on" if value else "off"
    if word == "utf8":
        return word
    listed = ", ".join(parameter.values)
    raise invalid(parameter, text, hint=f"Available values: {listed}.")


def _number(parameter: Parameter, text: str) -> str:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise invalid(parameter, text)
    value = float(match[1])
    if match[2]:
        value = _in_unit(parameter, text, value, match[2])
    if parameter.kind == "integer":
        value = round(value)
    if not parameter.low <= value <= parameter.high:
        low, high = _plain(parameter, parameter.low), _plain(parameter, parameter.high)
        unit = f" {parameter.unit}" if parameter.unit else ""
        raise InvalidParameterValue(
            f"{_plain(parameter, value)}{unit} is outside the valid range for parameter "
            f'"{parameter.name}" ({low} .. {high})'
        )
    return _plain(parameter, value)


def _plain(parameter: Parameter, value: float) -> str:
    return str(int(value)) if parameter.kind == "integer" else f"{value:g}"


def _in_unit(parameter: Parameter, text: str, value: float, unit: str) -> float:
    units = _MEMORY if parameter.unit in ("kB", "8kB", "B", "MB") else _TIME
    if not parameter.unit or unit not in units:
        valid = ", ".join(f'"{name}"' for name in units) if parameter.unit else ""
        hint = f"Valid units for this parameter are {valid}." if valid else None
        raise invalid(parameter, text, hint=hint)
    return value * units[unit] / _BASE[parameter.unit]


def _string(parameter: Parameter, text: str) -> str:
    match parameter.name:
        case "client_encoding":
            if "".join(c for c in text.lower() if c.isalnum()) not in _UTF8:
                raise FeatureNotSupported(
                    f'client encoding "{text}" is not supported, only UTF8', sqlstate="22023"
                )
            return "UTF8"
        case "TimeZone":
            return _time_zone(parameter, text)
        case "DateStyle":
            return _date_style(text)
    return text


def _time_zone(parameter: Parameter, text: str) -> str:
    if text.strip().lower() in ("default", "local"):
        return parameter.default
    try:
        return zone_by_name(text.strip()).name
    except SqlError:
        raise invalid(parameter, text) from None


def _date_style(text: str) -> str:
    """Return `ISO, order`; MDY is kept unless an order is named."""
    words = [word.strip().upper() for word in text.split(",") if word.strip()]
    order = "MDY"
    for word in words:
        if word in ("MDY", "US", "NONEURO", "NONEUROPEAN"):
            order = "MDY"
        elif word in ("DMY", "EURO", "EUROPEAN"):
            order = "DMY"
        elif word == "YMD":
            order = "YMD"
        elif word in ("SQL", "POSTGRES", "GERMAN"):
            raise FeatureNotSupported(f'DateStyle "{text}" is not supported, only ISO')
        elif word not in ("ISO", "DEFAULT"):
            raise InvalidParameterValue(
                f'invalid value for parameter "DateStyle": "{text}"',
                detail=f'Unrecognized key word: "{word.lower()}".',
            )
    return f"ISO, {order}"


def shown(parameter: Parameter, value: str) -> str:
    """Return what SHOW prints for a canonical value.

    >>> from sqlnode.session.parameter_table import PARAMETERS
    >>> shown(PARAMETERS["statement_timeout"], "90000"), shown(PARAMETERS["work_mem"], "4096")
    ('90s', '4MB')
    """
    if parameter.kind != "integer" or not parameter.unit or int(value) <= 0:
        return value
    base = int(value) * _BASE[parameter.unit]
    units = _MEMORY if parameter.unit in ("kB", "8kB", "B", "MB") else _TIME
    for unit, size in reversed(units.items()):
        if base % size == 0:
            return f"{int(base // size)}{unit}"
    return value


def text_settings(values: dict[str, str]) -> Settings:
    """Return what codecs need of canonical values by lower-case name."""
    return Settings(
        time_zone=values["timezone"],
        date_style=values["datestyle"],
        interval_style=values["intervalstyle"],
        extra_float_digits=int(values["extra_float_digits"]),
        bytea_output=values["bytea_output"],
    )


def split_identifiers(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names, as in search_path. Raises: InvalidParameterValue.

    >>> split_identifiers('"$user", Public')
    ('$user', 'public')
    """
    names = []
    for quoted, plain, bad in re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+)|([^,]))\s*,?', text):
        if bad.strip():
            raise InvalidParameterValue(f'invalid value for parameter "search_path": "{text}"')
        names.append(plain.lower() if plain else quoted.replace('""', '"'))
    return tuple(name for name in names if name)
