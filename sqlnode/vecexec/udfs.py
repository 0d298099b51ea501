"""Registry functions as DuckDB scalar functions, for one statement.

**Model.** A function without an equal in DuckDB runs as its Python callable over whole chunks:
Arrow columns to datums, one call for each row, back to Arrow. Only functions that the statement
uses are registered, under names of its own, and removed after it.

**Concurrency.** DuckDB calls them on its worker threads, while the statement's own thread waits.
The first exception is kept in `error`: DuckDB would pass on only its text.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlnode.vecexec.arrow_values import to_arrow, to_datums
from sqlnode.vecexec.physical import Expr, Physical

Chunk = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Udf:
    """One function to register: its name, DuckDB types and a callable over Arrow arrays."""

    name: str
    run: Chunk
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
            run = self._chunked(python, physicals, result, strict=strict)
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

        def wait(*args: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(python(*args), loop).result()

        return wait

    def _chunked(
        self,
        python: Callable[..., Any],
        physicals: tuple[Physical, ...],
        result: Physical,
        *,
        strict: bool,
    ) -> Chunk:
        def run(*columns: Any) -> Any:
            try:
                if not physicals:
                    return to_arrow([python() for _ in range(len(columns[0]))], result)
                rows = [to_datums(c, p) for c, p in zip(columns, physicals, strict=True)]
                return to_arrow(_apply(python, rows, strict), result)
            except BaseException as error:
                if self.error is None:
                    self.error = error
                raise

        # DuckDB counts the parameters that inspect.signature() shows.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # functions take attributes
            [
                inspect.Parameter(f"a{i}", inspect.Parameter.POSITIONAL_ONLY)
                for i in range(max(len(physicals), 1))
            ]
        )
        return run


def _apply(python: Callable[..., Any], columns: list[list[Any]], strict: bool) -> list[Any]:
    if not strict:
        return [python(*row) for row in zip(*columns, strict=True)]
    if len(columns) == 1:
        return [None if datum is None else python(datum) for datum in columns[0]]
    return [None if None in row else python(*row) for row in zip(*columns, strict=True)]
