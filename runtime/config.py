"""Configuration: flag over environment over file over default, into frozen dataclasses.

**Model.** A process's configuration is a frozen dataclass whose fields are sections, each a frozen
dataclass of plain values that checks itself in `__post_init__`. One TOML file serves all
processes; the environment names a value as `INSULA_<SECTION>__<KEY>`, for instance
`INSULA_GATEWAY__IDLE_S=30`.

An unknown section or key is an error that suggests the nearest known one: a setting that is
silently ignored is worse than a refusal to start.
"""

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from runtime.config_error import ConfigError

__all__ = ["ENV_PREFIX", "ConfigError", "load_config", "read_config_file"]

ENV_PREFIX: Final = "INSULA_"
T = TypeVar("T")
Sections = Mapping[str, Mapping[str, Any]]


def load_config(
    config_type: type[T],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Sections | None = None,
    foreign_sections: Iterable[str] = (),
) -> T:
    """Build `config_type` from its defaults, `file`, `environment` and `flags`, the later winning.

    `foreign_sections` belong to other processes that read the same file and are passed over. A
    flag of value None counts as not given. Raises: ConfigError, which names the place of the
    value.
    """
    sections = _section_types(config_type)
    foreign = frozenset(foreign_sections)
    values: dict[str, dict[str, Any]] = {name: {} for name in sections}
    origins: dict[tuple[str, str], str] = {}
    sources: list[tuple[str, Sections]] = []
    if file is not None:
        sources.append((str(file), read_config_file(file)))
    sources.append(("the environment", _from_environment(environment or {})))
    given = {
        name: {k: v for k, v in keys.items() if v is not None}
        for name, keys in (flags or {}).items()
    }
    sources.append(("the command line", given))
    for origin, source in sources:
        for section, keys in source.items():
            if section in foreign:
                continue
            _check_known(section, [*sections, *foreign], f"section [{section}] in {origin}")
            for key, value in keys.items():
                _check_known(key, _keys(sections[section]), f"key {section}.{key} in {origin}")
                values[section][key] = value
                origins[section, key] = origin
    return config_type(
        **{name: _build(name, kind, values[name], origins) for name, kind in sections.items()}
    )


def read_config_file(path: Path) -> Sections:
    """Read a TOML file of sections. Raises: ConfigError."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    for name, value in content.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: {name} stands outside a section; write it under [section]")
    return content


def _section_types(config_type: type[Any]) -> dict[str, type[Any]]:
    hints = typing.get_type_hints(config_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def _keys(section_type: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(section_type)]


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith(ENV_PREFIX) and "__" in name:
            section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
            found.setdefault(section, {})[key] = value
    return found


def _check_known(name: str, known: Iterable[str], what: str) -> None:
    choices = list(known)
    if name in choices:
        return
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(choices))}"
    raise ConfigError(f"unknown {what}: {hint}")


def _build(
    section: str, kind: type[T], values: Mapping[str, Any], origins: Mapping[tuple[str, str], str]
) -> T:
    hints = typing.get_type_hints(kind)
    converted = {}
    for key, value in values.items():
        try:
            converted[key] = msgspec.convert(value, hints[key], strict=not isinstance(value, str))
        except msgspec.ValidationError as error:
            raise ConfigError(f"{section}.{key} in {origins[section, key]}: {error}") from error
    try:
        return kind(**converted)
    except ConfigError as error:
        raise ConfigError(f"section [{section}]: {error}") from error
