"""The session settings that text input and output depend on."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pgwire.codecs.zones import Zone, zone_by_name
from pgwire.errors import FeatureNotSupported, InvalidParameterValue

_ORDERS: Final = ("MDY", "DMY", "YMD")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Values of the parameters a codec reads; built anew when the session changes one.

    `now_micros` is the transaction's start, in microseconds since 2000-01-01 UTC: the meaning of
    'now' and 'today' in text input. It takes no part in equality, because output functions are
    cached by settings and do not read it.

    Output exists for DateStyle ISO and IntervalStyle postgres.

    Raises: InvalidParameterValue, FeatureNotSupported.
    """

    time_zone: str = "UTC"
    date_style: str = "ISO, MDY"
    interval_style: str = "postgres"
    extra_float_digits: int = 1
    bytea_output: str = "hex"
    now_micros: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        words = [word.strip().upper() for word in self.date_style.split(",")]
        if words[0] != "ISO":
            raise FeatureNotSupported(f'DateStyle "{self.date_style}" is not supported, only ISO')
        if any(word not in _ORDERS for word in words[1:]):
            raise InvalidParameterValue(
                f'invalid value for parameter "DateStyle": "{self.date_style}"'
            )
        if self.interval_style != "postgres":
            raise FeatureNotSupported(f'IntervalStyle "{self.interval_style}" is not supported')
        if self.bytea_output not in ("hex", "escape"):
            raise InvalidParameterValue(
                f'invalid value for parameter "bytea_output": "{self.bytea_output}"'
            )
        _ = self.zone  # an unknown time zone is refused here and not with the first row

    @cached_property
    def zone(self) -> Zone:
        """The session's time zone."""
        return zone_by_name(self.time_zone)

    @cached_property
    def date_order(self) -> str:
        """Which of MDY, DMY, YMD an ambiguous date is read as."""
        return next((w for w in _ORDERS if w in self.date_style.upper()), "MDY")

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("zone", "date_order")}


DEFAULT_SETTINGS: Final = Settings()
