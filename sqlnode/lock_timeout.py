"""The session's lock_timeout."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


def lock_timeout_ms(ctx: "ExecContext") -> int:
    """Return the session's lock_timeout in milliseconds, 0 for none."""
    text = ctx.session.variables.get("lock_timeout", "0")
    return _milliseconds(text)


_UNITS_MS: Final = (("ms", 1), ("min", 60_000), ("s", 1000), ("h", 3_600_000), ("d", 86_400_000))


def _milliseconds(text: str) -> int:
    """Read a time setting as SHOW prints it.

    >>> _milliseconds("0"), _milliseconds("250ms"), _milliseconds("2s")
    (0, 250, 2000)
    """
    for unit, factor in _UNITS_MS:
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * factor)
    return int(text)
