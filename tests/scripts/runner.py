"""Runs data-driven transcripts: directives, a line of four dashes, and what they answer.

    # A comment explains what follows.
    acquire txn=1 keys=a
    release txn=1
    ----
    txn 1 has a
    (nothing)

Every directive between two blank lines belongs to one block; its answers are joined by newlines
and compared as a whole. With `pytest --rewrite` the answers are written into the file instead.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

SEPARATOR = "----"


@dataclass(frozen=True)
class Directive:
    """One line: a name, its `key=value` arguments, and its bare words."""

    name: str
    arguments: dict[str, str]
    words: list[str]

    def get(self, name, default=""):
        return self.arguments.get(name, default)


@dataclass
class Block:
    """Comments, directives, and the expected answer."""

    comments: list[str]
    directives: list[str]
    expected: list[str]

    def text(self):
        return "\n".join([*self.comments, *self.directives, SEPARATOR, *self.expected])


def parse_directive(line):
    name, *rest = shlex.split(line)
    arguments = dict(word.split("=", 1) for word in rest if "=" in word)
    return Directive(name, arguments, [word for word in rest if "=" not in word])


def parse(text):
    """Return the blocks of a transcript."""
    blocks = []
    for chunk in filter(str.strip, text.split("\n\n")):
        lines = chunk.strip("\n").split("\n")
        assert SEPARATOR in lines, f"a block without {SEPARATOR}: {lines[0]}"
        cut = lines.index(SEPARATOR)
        comments = [line for line in lines[:cut] if line.startswith("#")]
        directives = [line for line in lines[:cut] if not line.startswith("#")]
        blocks.append(Block(comments, directives, lines[cut + 1 :]))
    return blocks


def run_script(path: Path, machine, *, rewrite: bool):
    """Feed a transcript to `machine(directive) -> str`; compare, or rewrite the file."""
    blocks = parse(path.read_text())
    for block in blocks:
        answers = [machine(parse_directive(line)) for line in block.directives]
        actual = [line for answer in answers for line in (answer or "ok").split("\n")]
        if not rewrite:
            where = "\n".join(block.directives)
            assert actual == block.expected, f"{path.name}:\n{where}\n" + "\n".join(actual)
        block.expected = actual
    if rewrite:
        path.write_text("\n\n".join(block.text() for block in blocks) + "\n")
