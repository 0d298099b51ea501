"""Checking a stopped stack's store: first its pages, without LMDB, then its rows."""

from contextlib import closing
from pathlib import Path
from typing import Any

import lmdb.verify

from cli.errors import CommandFailed
from kvnode.data_dir import locked, store_path
from kvnode.storage.engine import StoreCorrupt
from kvnode.storage.lmdb_engine import LmdbEngine
from kvnode.verify import verify_store
from runtime.config_error import ConfigError


def check_store(data_dir: Path) -> list[dict[str, Any]]:
    """Return a record for the pages and one for each table. Raises: CommandFailed.

    A store with damaged pages is not opened: there are no records of its tables then.
    """
    store = store_path(data_dir)
    if not store.is_dir():
        raise CommandFailed(f"there is no store in {data_dir}")
    try:
        with locked(data_dir):
            pages = _check_pages(store)
            return [pages] if pages["problem_count"] else [pages, *_check_tables(store)]
    except ConfigError as error:
        raise CommandFailed(str(error), hint="only a stopped stack can be checked") from error
    except StoreCorrupt as error:
        raise CommandFailed(error.message) from error


def _check_pages(store: Path) -> dict[str, Any]:
    try:
        problems = lmdb.verify.verify(str(store))
    except lmdb.verify.VerifyError as error:
        problems = [str(error)]
    bytes_used = sum(path.stat().st_size for path in store.glob("data.mdb"))
    return _record("pages", None, bytes_used, len(problems), problems)


def _check_tables(store: Path) -> list[dict[str, Any]]:
    with closing(LmdbEngine(store)) as engine, closing(engine.snapshot()) as snapshot:
        return [
            _record(r.table.value, r.row_count, r.bytes, r.problem_count, r.problems)
            for r in verify_store(snapshot)
        ]


def _record(
    table: str, rows: int | None, size: int, problem_count: int, problems: list[str]
) -> dict[str, Any]:
    return {
        "table": table,
        "rows": rows,
        "bytes": size,
        "problem_count": problem_count,
        "problems": problems,
    }
