"""Files that appear at once and whole: written beside their place, then renamed into it."""

import json
import os
from pathlib import Path
from typing import Any


def write_json_atomically(path: Path, content: Any, *, mode: int = 0o644) -> None:
    """Write `content` as JSON: a reader sees nothing, the old content or all of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, mode)  # whatever the umask
        json.dump(content, file)
        file.write("\n")
    os.replace(draft, path)
