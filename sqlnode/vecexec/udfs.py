"""Registry functions as DuckDB scalar functions, for one statement.

**Model.** A function without an equal in DuckDB runs as its Python callable. Where DuckDB's own
Python values are datums (or numeric's text), it calls us row by row. Dates, times, intervals, uuids
and records come as whole chunks: Arrow columns to datums, one call for each row, back to Arrow.
Only functions that the statement uses are registered, under names of its own, and removed after it.

**Concurrency.** DuckDB calls them on its worker threads, while the statement's own thread waits.
The first exception is kept in `error`: DuckDB would pass on only its text.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pgwire.codecs.numerics import numeric_out
from sqlnode.vecexec.arrow_values import to_arrow, to_datums
from sqlnode.vecexec.physical import TEXT_KIND_OIDS, Expr, Physical

_NATIVE_OIDS: Final = TEXT_KIND_OIDS | {
    16, 17, 20, 21, 23, 24, 26, 28, 29, 700, 701, 1700, 2202, 2205, 2206, 4089, 4096, 5069,
}  # fmt: skip

_MEMO_ROWS: Final = 1 << 14  # answers kept for arguments that come again: columns repeat themselves


@dataclass(frozen=True, slots=True)
class Udf:
    """One function to register: its name, DuckDB types and a callable of kind native or arrow."""

    name: str
    run: Callable[..., Any]
    kind: str
    arguments: tuple[str, ...]
    result: str
    is_volatile: bool


@dataclass(slots=True)
class UdfSet:
    """The Python functions that one statement needs."""

    statement_id: int
    loop: asyncio.AbstractEventLoop | None = None  # where coroutine functions run
    udfs: dict[Any, Udf] = field(default_factory=dict)
    error: BaseException | None = None

    def call(
        self,
        python: Callable[..., Any],
        args: Sequence[Expr],
        result: Physical,
        *,
        key: Any = None,
        strict: bool = True,
        is_volatile: bool = False,
    ) -> Expr:
        """Return a call of `python` over `args`, registered on first use.

        `key` identifies `python` within the statement where the callable itself is made anew.
        """
        physicals = tuple(arg.physical for arg in args)
        identity = (python if key is None else key, physicals, result)
        udf = self.udfs.get(identity)
        if udf is None:
            name = f"f{self.statement_id}_{len(self.udfs)}"
            is_native = all(map(_is_native, (*physicals, result))) and not _holds_float(result)
            make = self._by_row if is_native else self._by_chunk
            is_memoized = not is_volatile and all(_is_exact(p, is_native) for p in physicals)
            memo = lru_cache(maxsize=_MEMO_ROWS) if is_memoized else _as_it_is
            run = make(python, physicals, result, strict, memo)
            kind = "native" if is_native else "arrow"
            types = tuple(physical.duck for physical in physicals) or ("INTEGER",)
            udf = self.udfs[identity] = Udf(name, run, kind, types, result.duck, is_volatile)
        # Without arguments there would be no row count: pass a constant.
        texts = ", ".join(arg.text for arg in args) or "0::INTEGER"
        volatile = is_volatile or any(arg.volatile for arg in args)
        return Expr(f"{udf.name}({texts})", result, volatile=volatile)

    def awaiting(self, python: Callable[..., Any]) -> Callable[..., Any]:
        """Return a blocking form of a coroutine function, for the worker thread."""
        loop = self.loop
        assert loop is not None, "coroutine functions need the event loop"

        def wait(*args: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(python(*args), loop).result()

        return wait

    def _by_chunk(
        self,
        python: Callable[..., Any],
        physicals: tuple[Physical, ...],
        result: Physical,
        strict: bool,
        memo: Callable[..., Any],
    ) -> Callable[..., Any]:
        python = memo(python)

        def run(*columns: Any) -> Any:
            try:
                if not physicals:
                    return to_arrow([python() for _ in range(len(columns[0]))], result)
                rows = [to_datums(c, p) for c, p in zip(columns, physicals, strict=True)]
                return to_arrow(_apply(python, rows, strict), result)
            except BaseException as error:
                self._keep(error)
                raise

        return _with_parameters(run, len(physicals))

    def _by_row(
        self,
        python: Callable[..., Any],
        physicals: tuple[Physical, ...],
        result: Physical,
        strict: bool,
        memo: Callable[..., Any],
    ) -> Callable[..., Any]:
        texts = [i for i, physical in enumerate(physicals) if _holds_text_numeric(physical)]
        shown = _numeric_texts if _holds_text_numeric(result) else None

        def run(*args: Any) -> Any:
            if strict and None in args:
                return None
            try:
                if texts:
                    args = tuple(
                        _from_numeric_texts(arg) if i in texts else arg
                        for i, arg in enumerate(args)
                    )
                datum = python(*args) if physicals else python()
                return datum if shown is None or datum is None else shown(datum)
            except BaseException as error:
                self._keep(error)
                raise

        return _with_parameters(memo(run), len(physicals))

    def _keep(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error


def _with_parameters(run: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Show DuckDB, which looks at inspect.signature(), as many parameters as it passes."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(f"a{i}", kind) for i in range(max(count, 1))]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # functions take attributes
    return run


def _is_native(physical: Physical) -> bool:
    """Tell whether DuckDB's Python value of a form is the datum, or numeric's text."""
    if physical.element is not None:
        return _is_native(physical.element)
    return physical.type.oid in _NATIVE_OIDS and not physical.fields


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _is_exact(physical: Physical, is_native: bool) -> bool:
    """Tell whether equal arguments are the same: not 0.0 and -0.0, nor 1.0 and 1.00.

    A native function sees numeric's text, which tells scales apart; a list has no hash.
    """
    if physical.element is not None or physical.fields:
        return False
    return not _holds_float(physical) and (is_native or not physical.is_text_numeric)


def _holds_float(physical: Physical) -> bool:
    """Tell whether a result may be NaN, which DuckDB takes for NULL from a native function."""
    return (physical.element or physical).type.oid in (700, 701)


def _holds_text_numeric(physical: Physical) -> bool:
    return (physical.element or physical).is_text_numeric


def _from_numeric_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [None if item is None else Decimal(item) for item in value]
    return None if value is None else Decimal(value)


def _numeric_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [None if item is None else numeric_out(item) for item in value]
    return numeric_out(value)


def _apply(python: Callable[..., Any], columns: list[list[Any]], strict: bool) -> list[Any]:
    if not strict:
        return [python(*row) for row in zip(*columns, strict=True)]
    if len(columns) == 1:
        return [None if datum is None else python(datum) for datum in columns[0]]
    return [None if None in row else python(*row) for row in zip(*columns, strict=True)]
