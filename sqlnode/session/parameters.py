"""A session's parameter values, with the transaction semantics of SET and SET LOCAL.

**Model.** Three layers: the start-up values (what RESET goes back to), session values over them,
local values over those. Layers are never changed in place, so a snapshot for a transaction or a
savepoint is just a pair of references.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pgwire.codecs.settings import Settings
from pgwire.errors import (
    CantChangeRuntimeParam,
    ConfigurationLimitExceeded,
    FeatureNotSupported,
    InvalidName,
    InvalidParameterValue,
    UndefinedObject,
)
from sqlnode.session.parameter_table import HIDDEN, PARAMETERS, REPORTED, Parameter
from sqlnode.session.parameter_values import canonical, shown, split_identifiers, text_settings

CUSTOM_MAX: Final = 1_000  # custom parameters of one session
VALUE_BYTES_MAX: Final = 1 << 16
_CUSTOM: Final = re.compile(
    r"[A-Za-z_\u0080-\U0010ffff][\w$]*(\.[A-Za-z_\u0080-\U0010ffff][\w$]*)+"
)
_TRANSACTIONAL: Final = frozenset(
    {"transaction_isolation", "transaction_read_only", "transaction_deferrable"}
)


class ParameterMark(NamedTuple):
    """The layers at some moment."""

    session: Mapping[str, str]
    local: Mapping[str, str]


class Parameters:
    """All parameters of one session, by lower-case name."""

    def __init__(self, fixed: Mapping[str, str], startup: Mapping[str, str]) -> None:
        """Begin with `fixed` values from the server and `startup` ones from the client, checked.

        Raises: UndefinedObject, InvalidParameterValue, CantChangeRuntimeParam.
        """
        self._defaults = {name: p.default for name, p in PARAMETERS.items()} | dict(fixed)
        self._session: Mapping[str, str] = {}
        self._local: Mapping[str, str] = {}
        self._transaction: Mapping[str, str] = {}
        self.variables: dict[str, str] = {}  # what SHOW prints, by name; shared with SQL functions
        self.values: dict[str, str] = {}
        self.settings = Settings()
        self.reported_version = 0  # moves with every change of a value
        self._refresh()
        for name, value in startup.items():
            key, text = self._checked(name, value, at_start=True)
            self._defaults[key] = text
        self._refresh()

    # reading

    def show(self, name: str) -> str:
        """Return what SHOW prints. Raises: UndefinedObject."""
        key = _alias(name)
        if (text := self.variables.get(key)) is None:
            raise unknown(name)
        return text

    def all(self) -> list[tuple[str, str, str]]:
        """Return (name, value, description) of every listed parameter, sorted, for SHOW ALL."""
        rows = [
            (parameter.name, self.variables[key], parameter.description)
            for key, parameter in PARAMETERS.items()
            if key not in HIDDEN
        ]
        return sorted(rows, key=lambda row: row[0].lower())

    def reported(self) -> dict[str, str]:
        """Return what ParameterStatus tells, by proper name."""
        return {_proper(key): self.variables[key] for key in REPORTED}

    def milliseconds(self, name: str) -> int:
        """Return a duration parameter."""
        return int(self.values[name])

    @property
    def search_path(self) -> tuple[str, ...]:
        """The search path as written, names split."""
        return split_identifiers(self.values["search_path"])

    # writing

    def set(self, name: str, value: str, *, is_local: bool = False) -> None:
        """SET. Raises: UndefinedObject, InvalidParameterValue, CantChangeRuntimeParam, …."""
        key, text = self._checked(name, value)
        self._store(key, text, is_local=is_local)

    def reset(self, name: str, *, is_local: bool = False) -> None:
        """RESET, or SET … TO DEFAULT."""
        key = _alias(name)
        if key not in self._defaults:
            if key not in self.values:
                raise unknown(name)
            self._session = _without(self._session, key)
            self._local = _without(self._local, key)
            self._refresh()
            return
        _require_settable(PARAMETERS[key])
        self._store(key, self._defaults[key], is_local=is_local)

    def reset_all(self) -> None:
        """RESET ALL."""
        self._session = {}
        self._local = {}
        self._refresh()

    def set_transaction(self, values: Mapping[str, str]) -> None:
        """Show a transaction's own isolation and access mode; empty when none is open."""
        if values == self._transaction:
            return
        self._transaction = dict(values)
        for name in _TRANSACTIONAL:  # in place: every BEGIN comes here
            text = values.get(name) or self.values[f"default_{name}"]
            self.values[name] = self.variables[name] = text

    def _store(self, key: str, text: str, *, is_local: bool) -> None:
        before = self._session, self._local
        if is_local:
            self._local = {**self._local, key: text}
        else:
            self._session = {**self._session, key: text}
            self._local = _without(self._local, key)
        try:
            self._refresh()
        except Exception:
            self._session, self._local = before
            self._refresh()
            raise

    def _checked(self, name: str, value: str, *, at_start: bool = False) -> tuple[str, str]:
        key = _alias(name)
        if len(value) > VALUE_BYTES_MAX:
            raise InvalidParameterValue(f'value of parameter "{name}" is too long')
        parameter = PARAMETERS.get(key)
        if parameter is None:
            return self._custom(name, key), value
        _require_settable(parameter, at_start=at_start)
        return key, canonical(parameter, value)

    def _custom(self, name: str, key: str) -> str:
        if "." not in name:
            raise unknown(name)
        if not _CUSTOM.fullmatch(name):
            raise InvalidName(
                f'invalid configuration parameter name "{name}"',
                detail="Custom parameter names must be two or more simple identifiers "
                "separated by dots.",
            )
        if key not in self.values and len(self.values) > len(PARAMETERS) + CUSTOM_MAX:
            raise ConfigurationLimitExceeded(f"more than {CUSTOM_MAX} custom parameters")
        return key

    # transactions

    def mark(self) -> ParameterMark:
        """Return the present state, for a transaction or savepoint that begins."""
        return ParameterMark(self._session, self._local)

    def undo_to(self, mark: ParameterMark) -> None:
        """Go back to `mark`."""
        if mark.session is not self._session or mark.local is not self._local:
            self._session, self._local = mark
            self._refresh()

    def end_transaction(self) -> None:
        """Forget what was SET LOCAL."""
        if self._local:
            self._local = {}
            self._refresh()

    def _refresh(self) -> None:
        values = {**self._defaults, **self._session, **self._local, **self._transaction}
        if not self._transaction:
            for name in ("isolation", "read_only", "deferrable"):
                values[f"transaction_{name}"] = values[f"default_transaction_{name}"]
        settings = text_settings(values)
        if settings != self.settings:
            object.__setattr__(settings, "now_micros", self.settings.now_micros)
            self.settings = settings
        self.values = values
        self.reported_version += 1
        self.variables.clear()
        for key, value in values.items():
            parameter = PARAMETERS.get(key)
            self.variables[key] = value if parameter is None else shown(parameter, value)


def unknown(name: str) -> UndefinedObject:
    """Return the error for a parameter that does not exist."""
    return UndefinedObject(f'unrecognized configuration parameter "{name}"')


def _alias(name: str) -> str:
    key = name.lower()
    return {"time zone": "timezone", "names": "client_encoding"}.get(key, key)


def _proper(key: str) -> str:
    return PARAMETERS[key].name


def _without(layer: Mapping[str, str], key: str) -> Mapping[str, str]:
    return {name: value for name, value in layer.items() if name != key} if key in layer else layer


def _require_settable(parameter: Parameter, *, at_start: bool = False) -> None:
    name = parameter.name
    if parameter.context == "internal":
        if name in ("role", "session_authorization"):
            raise FeatureNotSupported(f"SET {name.upper().replace('_', ' ')} is not supported")
        raise CantChangeRuntimeParam(f'parameter "{name}" cannot be changed')
    if parameter.context == "postmaster":
        raise CantChangeRuntimeParam(
            f'parameter "{name}" cannot be changed without restarting the server'
        )
    if at_start and name.lower() in _TRANSACTIONAL:
        raise InvalidParameterValue(f'parameter "{name}" cannot be set at start')
