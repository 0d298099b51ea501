"""PostgreSQL's four strengths of a row lock, and which of them exclude each other.

**Model.** The modes are ordered by strength: a stronger one excludes everything that a weaker one
does. With strengths 0 to 3 two modes conflict exactly if their strengths add up to three or more:

                  KEY_SHARED  SHARED  NO_KEY_EXCLUSIVE  EXCLUSIVE
    KEY_SHARED         ·         ·            ·             x
    SHARED             ·         ·            x             x
    NO_KEY_EXCLUSIVE   ·         x            x             x
    EXCLUSIVE          x         x            x             x

What an owner holds on one key is a set of modes, kept as bits, so that giving one up leaves the
others.

Source: PostgreSQL docs, "Explicit Locking", table 13.3.
"""

from enum import IntEnum
from typing import Final


class Mode(IntEnum):
    """How much of a key a lock takes; the number is the strength."""

    KEY_SHARED = 0
    SHARED = 1
    NO_KEY_EXCLUSIVE = 2
    EXCLUSIVE = 3


NAMES: Final = {
    Mode.KEY_SHARED: "FOR KEY SHARE",
    Mode.SHARED: "FOR SHARE",
    Mode.NO_KEY_EXCLUSIVE: "FOR NO KEY UPDATE",
    Mode.EXCLUSIVE: "FOR UPDATE",
}


def conflict(one: int, other: int) -> bool:
    """Tell whether two sessions cannot hold a key in these modes at once.

    >>> conflict(Mode.NO_KEY_EXCLUSIVE, Mode.KEY_SHARED), conflict(Mode.SHARED, Mode.SHARED)
    (False, False)
    >>> conflict(Mode.NO_KEY_EXCLUSIVE, Mode.SHARED), conflict(Mode.EXCLUSIVE, Mode.KEY_SHARED)
    (True, True)
    """
    return one + other >= 3


def strongest(modes: int) -> int:
    """Return the strongest of a set of modes, given as bits; -1 of the empty set.

    >>> strongest(1 << Mode.SHARED | 1 << Mode.KEY_SHARED) == Mode.SHARED
    True
    """
    return modes.bit_length() - 1
