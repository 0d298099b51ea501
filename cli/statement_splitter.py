"""Where a statement ends in typed or piped SQL text. Pure.

A semicolon ends a statement unless it stands in a string, a quoted name, a dollar quote, a comment
or parentheses.

Source: PostgreSQL docs, "Lexical Structure"; psqlscan.l.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<escape>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>\$(?P<tag>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*|)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK: Final = re.compile(r"/\*|\*/")


def split_statements(text: str) -> tuple[list[str], str]:
    """Return the whole statements in `text`, without their semicolons, and the unfinished rest.

    >>> split_statements("select 1; select ';' -- a; b")
    (['select 1'], " select ';' -- a; b")
    >>> split_statements("select $$a;b$$; select (1")
    (['select $$a;b$$'], ' select (1')
    """
    statements: list[str] = []
    start = at = depth = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "the last alternative matches any character"
        at = match.end()
        if match["block"]:
            at = _block_end(text, at)
        elif match["other"] in ("(", ")"):
            depth = max(depth + (1 if match["other"] == "(" else -1), 0)
        elif match["other"] == ";" and depth == 0:
            if text[start : at - 1].strip():
                statements.append(text[start : at - 1])
            start = at
    return statements, text[start:]


def is_blank(text: str) -> bool:
    """Whether `text` holds nothing but blanks and comments."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "the last alternative matches any character"
        at = match.end()
        if match["block"]:
            at = _block_end(text, at)
        elif not match["line"] and not match[0].isspace():
            return False
    return True


def _block_end(text: str, at: int) -> int:
    """Return where the block comment ends whose opening ends at `at`; they nest."""
    depth = 1
    while depth:
        match = _BLOCK.search(text, at)
        if match is None:
            return len(text)
        depth += 1 if match[0] == "/*" else -1
        at = match.end()
    return at
