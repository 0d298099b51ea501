"""Runs transcripts: text files of commands and the answers they must give.

    # A comment explains what follows.
    command name=value other=value
    command name=value
    ----
    the lines that both commands answer

Blocks are separated by blank lines. With `pytest --rewrite` the answers are written into the file
instead of compared: the diff is then reviewed like code.
"""

import shlex
from collections.abc import Callable
from pathlib import Path

RULE = "----"


class Command:
    """One line of input: a word and its arguments."""

    def __init__(self, line):
        words = shlex.split(line)
        self.name = words[0]
        self.flags = [word for word in words[1:] if "=" not in word]
        self._values = dict(word.split("=", 1) for word in words[1:] if "=" in word)

    def text(self, name, default=None):
        """Return an argument as text."""
        if name not in self._values and default is None:
            raise KeyError(f"{self.name} needs {name}=")
        return self._values.get(name, default)

    def int(self, name, default=None):
        """Return an argument as an integer."""
        return int(self.text(name, None if default is None else str(default)))

    def float(self, name, default=None):
        """Return an argument as a float."""
        return float(self.text(name, None if default is None else str(default)))

    def has(self, name):
        """Whether an argument is there."""
        return name in self._values


def run_transcript(
    path: Path, handle: Callable[[Command], str | list[str] | None], *, rewrite: bool
) -> None:
    """Run every block of `path` through `handle`, which answers with lines of text."""
    blocks = []
    for number, (start, lines) in enumerate(_blocks(path.read_text())):
        head, expected = _split(lines)
        if not any(line and not line.startswith("#") for line in head):
            blocks.append("\n".join(head))
            continue
        actual = []
        for line in head:
            if line.startswith("#"):
                continue
            answer = handle(Command(line))
            actual += answer.splitlines() if isinstance(answer, str) else (answer or [])
        if not rewrite:
            assert actual == expected, f"{path.name}:{start} (block {number}): {head[-1]}"
        blocks.append("\n".join([*head, RULE, *actual]))
    if rewrite:
        path.write_text("\n\n".join(blocks) + "\n")


def _blocks(text):
    block, start = [], 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            start = number if not block else start
            block.append(line.rstrip())
        elif block:
            yield start, block
            block = []


def _split(lines):
    if RULE not in lines:
        return lines, []
    at = lines.index(RULE)
    return lines[:at], lines[at + 1 :]
