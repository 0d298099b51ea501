"""COPY in text and csv format, both ways."""

import pytest

from pgwire import errors, oids
from pgwire.copy_format import CopyReader
from pgwire.copy_options import CopyOptions
from pgwire.copy_writer import CopyWriter


def read(data, columns="ab", size=None, **options):
    reader = CopyReader(CopyOptions(**options), "t", list(columns))
    rows = []
    step = size or len(data) or 1
    for start in range(0, len(data), step):
        rows += reader.feed(data[start : start + step])
    return rows + reader.finish()


@pytest.mark.parametrize("size", [None, 1, 3])
def test_text(size):
    """pgbench -i and pg_dump data would load wrongly."""
    data = b"1\t\\N\n\\\\\ta\\tb\\\nc\n\\x41\\101\\q\t\\303\\251\n\t\n\\.\nignored\n"
    assert read(data, size=size) == [("1", None), ("\\", "a\tb\nc"), ("AAq", "é"), ("", "")]


def test_text_ends():
    """The last line of a file would be lost, or the end mark would become data."""
    assert read(b"a\tb\\\n") == [("a", "b\n")]
    assert read(b"a\tb\\") == [("a", "b")]
    assert read(b"a\t\\.\nc\td\n") == [("a", "")]
    with pytest.raises(errors.BadCopyFileFormat, match="marker corrupt"):
        read(b"a\tb\\.c\n")


@pytest.mark.parametrize("size", [None, 1, 7])
def test_csv(size):
    """The flights would load with NULLs for empty strings, or be cut at quoted newlines."""
    data = b'a,b\n1,\n"",x\n"q""q","l\n2"\nab"c,d"e,f\n'
    expected = [("1", None), ("", "x"), ('q"q', "l\n2"), ("abc,de", "f")]
    assert read(data, size=size, format="csv", header=True) == expected


def test_csv_variants():
    """Options would be ignored."""
    assert read(
        b"'x\\'y';NA\n", format="csv", delimiter=";", quote="'", escape="\\", null="NA"
    ) == [("x'y", None)]
    assert read(b"1,2\r\n3,4\r\n", format="csv") == [("1", "2"), ("3", "4")]
    assert read(
        b'"",\n', format="csv", force_null=frozenset("a"), force_not_null=frozenset("b")
    ) == [(None, "")]
    assert read(b"\xe9,1\n", format="csv", encoding="LATIN1") == [("é", "1")]
    assert read(b"1,2", format="csv") == [("1", "2")]
    assert read(b"", format="csv") == []
    assert read(b"1\n\n", columns="a") == [("1",), ("",)]


@pytest.mark.parametrize(
    ("data", "options", "message", "context"),
    [
        (b"1\t2\n3\n", {}, 'missing data for column "b"', 'COPY t, line 2: "3"'),
        (
            b"1\t2\t3\n",
            {},
            "extra data after last expected column",
            'COPY t, line 1: "1\t2\t3"',
        ),
        (b'1,"2\n', {"format": "csv"}, "unterminated CSV quoted field", None),
        (b"1\t2\r3\n", {}, "literal carriage return found in data", None),
        (b"1\t2\r\n3\t4\n", {}, "literal newline found in data", None),
        (
            b"a,c\n",
            {"format": "csv", "header": "match"},
            'column name mismatch in header line field 2: got "c", expected "b"',
            "COPY t, line 1",
        ),
        (b"\xff\t1\n", {}, 'invalid byte sequence for encoding "UTF8": 0xff', "COPY t, line 1"),
    ],
)
def test_errors(data, options, message, context):
    """A user could not find the bad line of a large file."""
    with pytest.raises(errors.SqlError) as caught:
        read(data, **options)
    assert caught.value.message == message
    if context is not None:
        assert caught.value.context == context


def test_line_numbers_and_bound():
    """A conversion error would name another line; a line without end would fill memory."""
    reader = CopyReader(CopyOptions(format="csv", header=True), "t", ["a"], line_bytes_max=100)
    reader.feed(b'a\n1\n"x\ny"\n2\n')
    assert reader.batch_lines == [2, 4, 5]
    assert reader.context(1, 0, "x") == 'COPY t, line 4, column a: "x"'
    with pytest.raises(errors.ProgramLimitExceeded):
        reader.feed(b"z" * 200)


def test_writer():
    """COPY TO output would not load again."""
    rows = [(1, 'a"b'), (None, "x\ty\\"), (2, "")]
    types = [oids.INT4, oids.TEXT]
    text = CopyWriter(CopyOptions(), ["a", "b"], types)
    assert text.encode(rows) == b'1\ta"b\n\\N\tx\\ty\\\\\n2\t\n'
    csv = CopyWriter(
        CopyOptions(format="csv", header=True, force_quote=frozenset("a")), ["a", "b"], types
    )
    assert csv.header() == b"a,b\n"
    assert csv.encode(rows) == b'"1","a""b"\n,x\ty\\\n"2",""\n'
    latin = CopyWriter(CopyOptions(encoding="LATIN1"), ["a"], [oids.TEXT])
    with pytest.raises(errors.UntranslatableCharacter):
        latin.encode([("€",)])


@pytest.mark.parametrize(
    ("options", "sqlstate"),
    [
        ({"format": "binary"}, "0A000"),
        ({"format": "xml"}, "22023"),
        ({"quote": "'"}, "0A000"),
        ({"delimiter": "ab"}, "0A000"),
        ({"delimiter": "\n"}, "22023"),
        ({"delimiter": "a"}, "22023"),
        ({"format": "csv", "delimiter": '"'}, "22023"),
        ({"null": "a\tb"}, "0A000"),
        ({"encoding": "EBCDIC"}, "0A000"),
    ],
)
def test_option_checks(options, sqlstate):
    """Impossible options would give silently wrong data."""
    with pytest.raises(errors.SqlError) as caught:
        CopyOptions(**options)
    assert caught.value.sqlstate == sqlstate
