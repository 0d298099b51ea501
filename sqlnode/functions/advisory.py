"""The advisory lock functions, of sessions and of transactions.

Source: PostgreSQL docs, "Advisory Lock Functions".
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from kvapi.client.lock_calls import LockMode, LockWait
from sqlnode.advisory_locks import advisory_key
from sqlnode.functions.define import VOLATILE, function
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.txn_locks import LockWish

_ASYNC: Final[dict[str, Any]] = {
    "needs_context": True,
    "volatility": VOLATILE,
    "is_async": True,
}
_TYPES: Final[dict[LockMode, str]] = {"exclusive": "ExclusiveLock", "shared": "ShareLock"}
Implementation = Callable[..., Awaitable[Any]]


def _locking(mode: LockMode, *, of_txn: bool, is_try: bool) -> Implementation:
    async def lock(ctx: Any, *numbers: int) -> Any:
        key = advisory_key(ctx.session.database, *numbers)
        wait: LockWait = "skip" if is_try else "block"
        wish = LockWish(mode, wait, 0 if is_try else lock_timeout_ms(ctx), ctx.txn.statement)
        if of_txn:
            taken = await ctx.txn.locks.lock_advisory(key, wish)
        else:
            taken = await ctx.advisory.lock(key, wish)
        return taken if is_try else ""

    return lock


def _unlocking(mode: LockMode) -> Implementation:
    async def unlock(ctx: Any, *numbers: int) -> bool:
        key = advisory_key(ctx.session.database, *numbers)
        done = bool(await ctx.advisory.unlock(key, mode))
        if not done:
            ctx.notice("WARNING", f"you don't own a lock of type {_TYPES[mode]}")
        return done

    return unlock


async def _unlock_all(ctx: Any) -> str:
    ctx.advisory.unlock_all()
    return ""


_MODES: Final[tuple[tuple[LockMode, str], ...]] = (("exclusive", ""), ("shared", "_shared"))
for _arguments in ("int8", "int4, int4"):
    for _mode, _suffix in _MODES:
        for _scope in ("", "_xact"):
            for _try in ("", "try_"):
                _result = "bool" if _try else "void"
                function(
                    f"pg_{_try}advisory{_scope}_lock{_suffix}({_arguments}) {_result}",
                    _locking(_mode, of_txn=bool(_scope), is_try=bool(_try)),
                    **_ASYNC,
                )
        function(f"pg_advisory_unlock{_suffix}({_arguments}) bool", _unlocking(_mode), **_ASYNC)
function("pg_advisory_unlock_all() void", _unlock_all, **_ASYNC)
