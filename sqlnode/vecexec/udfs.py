"""Registry functions as DuckDB scalar functions, for one statement.

**Model.** A function without an equal in DuckDB runs as its Python callable, chunk by chunk: Arrow
columns to datums, one call for each row, back to Arrow. Numeric crosses as its text. Columns repeat
themselves, so answers are kept for arguments that come again. Only functions a statement uses are
registered, under names of its own, and removed after it.

DuckDB's other kind of function, called row by row, is not used: it looks for pandas at every call.

**Concurrency.** DuckDB calls them on its worker threads, while the statement's own thread waits.
The first exception is kept in `error`: DuckDB would pass on only its text.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from pgwire.codecs.numerics import numeric_out
from sqlnode.vecexec.arrow_values import to_arrow, to_datums
from sqlnode.vecexec.physical import Expr, Physical

_MEMO_ROWS: Final = 1 << 14  # answers kept for arguments that come again: columns repeat themselves


@dataclass(frozen=True, slots=True)
class Udf:
    """One function to register: its name, DuckDB types and a callable over Arrow columns."""

    name: str
    run: Callable[..., Any]
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
            one = _row_function(python, physicals, result, strict)
            if not is_volatile and all(map(_is_exact, physicals)):
                one = lru_cache(maxsize=_MEMO_ROWS)(one)
            run = self._by_chunk(one, physicals, result)
            types = tuple(physical.duck for physical in physicals) or ("INTEGER",)
            udf = self.udfs[identity] = Udf(name, run, types, result.duck, is_volatile)
        # Without arguments there would be no row count: pass a constant.
        texts = ", ".join(arg.text for arg in args) or "0::INTEGER"
        volatile = is_volatile or any(arg.volatile for arg in args)
        return Expr(f"{udf.name}({texts})", result, volatile=volatile)

    def awaiting(self, python: Callable[..., Any]) -> Callable[..., Any]:
        """Return a blocking form of a coroutine function, for the worker thread."""
        loop = self.loop
        assert loop is not None, "coroutine functions need the event loop"

        context = copy_context()  # of the statement, which pays for what is asked

        def wait(*args: Any) -> Any:
            asked = context.copy().run(asyncio.run_coroutine_threadsafe, python(*args), loop)
            return asked.result()

        return wait

    def _by_chunk(
        self, one: Callable[..., Any], physicals: tuple[Physical, ...], result: Physical
    ) -> Callable[..., Any]:
        def run(*columns: Any) -> Any:
            try:
                if physicals:
                    rows = zip(*map(_column, columns, physicals), strict=True)
                    answers = [one(*row) for row in rows]
                else:
                    answers = [one() for _ in range(len(columns[0]))]
                if _holds_text_numeric(result):
                    return pa.array(answers, result.arrow)
                return to_arrow(answers, result)
            except BaseException as error:
                self._keep(error)
                raise

        return _with_parameters(run, len(physicals))

    def _keep(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error


def _with_parameters(run: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Show DuckDB, which looks at inspect.signature(), as many parameters as it passes."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(f"a{i}", kind) for i in range(max(count, 1))]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # functions take attributes
    return run


def _column(column: Any, physical: Physical) -> list[Any]:
    if _holds_text_numeric(physical):
        texts: list[Any] = column.to_pylist()
        return texts
    return to_datums(column, physical)


def _row_function(
    python: Callable[..., Any], physicals: tuple[Physical, ...], result: Physical, strict: bool
) -> Callable[..., Any]:
    """Return `python` with strictness and with numeric as text, on the way in and out."""
    texts = [i for i, physical in enumerate(physicals) if _holds_text_numeric(physical)]
    gives_text = _holds_text_numeric(result)
    if not texts and not gives_text and not strict:
        return python

    def one(*args: Any) -> Any:
        if strict and None in args:
            return None
        if texts:
            args = tuple(
                _from_numeric_texts(arg) if i in texts else arg for i, arg in enumerate(args)
            )
        datum = python(*args)
        return _numeric_texts(datum) if gives_text and datum is not None else datum

    return one


def _is_exact(physical: Physical) -> bool:
    """Tell whether equal arguments are the same: 0.0 and -0.0 are not. A list has no hash."""
    if physical.element is not None or physical.fields:
        return False
    return physical.type.oid not in (700, 701)


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
