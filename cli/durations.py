"""Durations as operators write them: 90, 90s, 15m, 2h, 7d, 1h30m."""

import re
from typing import Final

from cli.errors import USAGE, CommandFailed

_UNITS_S: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_PLAIN: Final = re.compile(r"\d+(?:\.\d+)?")


def seconds(text: str) -> float:
    """Return a duration in seconds; a number alone counts them. Raises: CommandFailed.

    >>> seconds("1h30m"), seconds("2.5")
    (5400.0, 2.5)
    """
    found = text.strip().lower()
    if _PLAIN.fullmatch(found):
        return float(found)
    parts = _PART.findall(found)
    if not parts or "".join(number + unit for number, unit in parts) != found:
        raise CommandFailed(
            f"{text!r} is no duration", exit_code=USAGE, hint="write 90s, 15m, 2h, 7d or 1h30m"
        )
    return float(sum(float(number) * _UNITS_S[unit] for number, unit in parts))
