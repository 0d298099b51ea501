"""Background tasks whose exceptions are never lost.

The one module that may call `asyncio.create_task`: everything else uses a TaskGroup or `spawn`.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()  # asyncio itself holds tasks only weakly


def spawn(coro: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Run `coro` in the background; if it fails, the failure is logged once, here."""
    task = asyncio.create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task_failed", extra={"task": task.get_name()}, exc_info=error)
