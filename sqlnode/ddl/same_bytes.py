"""Which changes of a column's type leave every stored value as it is: only the catalog changes.

Source: PostgreSQL, ATColumnChangeRequiresRewrite and the support functions of length coercions.
"""

from typing import Final

from sqlnode.rowexec.storage_kinds import layout_column
from sqlnode.types import SqlType, numeric_precision_scale

_TEXT: Final = 25
_VARCHAR: Final = 1043
_NUMERIC: Final = 1700
_ROUNDED: Final = frozenset({1083, 1114, 1184})  # types whose typmod is a number of digits


def keeps_bytes(old: SqlType, new: SqlType) -> bool:
    """Tell whether every value of `old` is the same value of `new`, stored in the same way.

    >>> keeps_bytes(SqlType(1043, 9), SqlType(1043, 14)), keeps_bytes(SqlType(1043, 9), SqlType(25))
    (True, True)
    >>> keeps_bytes(SqlType(1043, 14), SqlType(1043, 9)), keeps_bytes(SqlType(23), SqlType(20))
    (False, False)
    """
    if old == new:
        return True
    if layout_column(0, old) != layout_column(0, new):
        return False
    if old.oid in (_TEXT, _VARCHAR) and new.oid in (_TEXT, _VARCHAR):
        return _is_wider(old.typmod, new.typmod)
    if old.oid != new.oid:
        return False
    if old.oid == _NUMERIC:
        return _is_wider_numeric(old.typmod, new.typmod)
    return old.oid in _ROUNDED and _is_wider(old.typmod, new.typmod)


def _is_wider(old: int, new: int) -> bool:
    return new < 0 or 0 <= old <= new


def _is_wider_numeric(old: int, new: int) -> bool:
    before, after = numeric_precision_scale(old), numeric_precision_scale(new)
    if before is None or after is None:
        return after is None
    return before[1] == after[1] and before[0] <= after[0]
