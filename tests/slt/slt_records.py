"""Reads sqllogictest files: text to records, without running anything.

    statement ok            query IRT rowsort label-1        skipif mysql # why
    CREATE TABLE ...        SELECT ...                       onlyif postgresql
                            ----
                            1
                            2.500

A blank line ends a record. More values than `hash-threshold` come as "N values hashing to MD5".

Source: https://www.sqlite.org/sqllogictest/doc/trunk/about.wiki
"""

import lzma
from dataclasses import dataclass

ENGINE = "postgresql"


@dataclass(frozen=True)
class Record:
    """One statement or query and what it must answer."""

    line: int
    sql: str
    must_fail: bool = False
    types: str = ""  # of a query: I, R or T for each column; empty: a statement
    sort: str = "nosort"
    expected: tuple[str, ...] = ()
    hash_threshold: int = 0


def read_records(path):
    """Yield the records of a .xz file that apply to PostgreSQL."""
    with lzma.open(path, "rt") as text:
        yield from parse_records(text)


def parse_records(lines):
    """Yield the records of `lines` that apply to PostgreSQL."""
    hash_threshold = 0
    for start, block in _blocks(lines):
        applies = True
        for index, line in enumerate(block):
            words = line.split()
            if words[0] == "hash-threshold":
                hash_threshold = int(words[1])
            elif words[0] in ("skipif", "onlyif"):
                applies &= (words[0] == "onlyif") == (words[1] == ENGINE)
            elif words[0] in ("statement", "query"):
                if applies:
                    yield _record(start + index, words, block[index + 1 :], hash_threshold)
                break
            elif words[0] == "halt":
                if applies:
                    return
            elif not line.startswith("#"):
                raise ValueError(f"line {start + index}: {line}")


def _blocks(lines):
    block = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            block.append(line.rstrip("\n"))
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield number - len(block) + 1, block


def _record(line, words, body, hash_threshold):
    if words[0] == "statement":
        return Record(line, "\n".join(body), must_fail=words[1] == "error")
    end = body.index("----") if "----" in body else len(body)
    return Record(
        line,
        "\n".join(body[:end]),
        types=words[1],
        sort=words[2] if len(words) > 2 else "nosort",
        expected=tuple(body[end + 1 :]),
        hash_threshold=hash_threshold,
    )
