"""Logs as JSON lines: one event name and typed fields a line, on standard error.

**Model.** Code calls `log.info("session_opened", extra={"tenant_id": 7})`: the message is an event
name, never a sentence with values in it. Fields bound with `bound_fields` are added to every line
of that task. On a terminal the same lines come out as coloured text.

Statement text may hold personal data, so it is logged through `statement_field`, which redacts
unless told otherwise.
"""

import contextlib
import contextvars
import datetime
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

_bound: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("log_fields", default={})  # noqa: B039 - never mutated: bound_fields makes a new mapping

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}


def configure_logging(
    process: str,
    *,
    level: str = "INFO",
    stream: TextIO | None = None,
    is_json: bool | None = None,
    is_redacted: bool = False,
) -> None:
    """Send every log record of this process to `stream` (standard error).

    `is_redacted`: of exceptions only types and places are logged; their messages may quote data.

    `is_json` None means: JSON unless the stream is a terminal. Replaces handlers set before, so
    that a forked process can call it again under its new name.
    """
    target = sys.stderr if stream is None else stream
    if is_json is None:
        is_json = not target.isatty()
    handler = logging.StreamHandler(target)
    formatter = JsonFormatter if is_json else TextFormatter
    handler.setFormatter(formatter(process, is_redacted=is_redacted))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)


@contextlib.contextmanager
def bound_fields(**fields: Any) -> Iterator[None]:
    """Add `fields` to every record logged inside the block, by this task and those it starts."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def statement_field(statement: str, *, is_redacted: bool = True) -> str:
    """Return what may be logged of a statement: its first word and its length, unless not redacted.

    >>> statement_field("SELECT 'secret'")
    'SELECT … (15 characters)'
    """
    if not is_redacted:
        return statement
    words = statement.split(maxsplit=1)
    first = words[0].upper() if words else ""
    shown = first if first.isalpha() and len(first) <= 12 else "?"
    return f"{shown} … ({len(statement)} characters)"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**_bound.get(), **own}


class _ProcessFormatter(logging.Formatter):
    """What both formats share."""

    def __init__(self, process: str, *, is_redacted: bool = False) -> None:
        super().__init__()
        self._process = process
        self._is_redacted = is_redacted

    def formatException(self, ei: Any) -> str:
        if not self._is_redacted:
            return super().formatException(ei)
        lines: list[str] = []
        error: BaseException | None = ei[1]
        while error is not None:
            lines.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
            error = error.__cause__ or error.__context__
        return "\nafter:\n".join(lines)


class JsonFormatter(_ProcessFormatter):
    """One JSON object a line: ts, level, event, process, pid, logger, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        line: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "event": record.getMessage(),
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(_ProcessFormatter):
    """The same for eyes: time, level, process, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC).astimezone()
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        colour = _COLOURS.get(record.levelname, "")
        level = f"{colour}{record.levelname:<7}{chr(27) + '[0m' if colour else ''}"
        text = (
            f"{moment:%H:%M:%S.%f}"[:-3]
            + f" {level} {self._process}: {record.getMessage()} {fields}"
        )
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return text.rstrip()
