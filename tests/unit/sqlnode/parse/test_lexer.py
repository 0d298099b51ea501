"""PostgreSQL's lexical rules."""

import pytest

from pgwire.errors import SqlError
from sqlnode.parse.lexer import tokenize
from sqlnode.parse.tokens import TokenKind as K


def lexed(text):
    return [(token.kind, token.value) for token in tokenize(text)[:-1]]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("SeLeCT", K.WORD, "select"),
        ("Straße", K.WORD, "straße"),
        ('"Mixed ""Case"""', K.QUOTED, 'Mixed "Case"'),
        ("'it''s'", K.STRING, "it's"),
        (r"'back\slash'", K.STRING, r"back\slash"),
        (r"E'a\n\x41\u0042\101\''''", K.STRING, "a\nABA''"),
        (r"E'\303\251\xc3\xa9'", K.STRING, "éé"),
        (r"E'\ud83d\ude00'", K.STRING, "😀"),
        (r"U&'d\0061t\+000061'", K.STRING, "data"),
        ("U&'d!0061' UESCAPE '!'", K.STRING, "da"),
        (r'U&"d\0061"', K.QUOTED, "da"),
        ("$$a'b$$", K.STRING, "a'b"),
        ("$x$a$$b$x$", K.STRING, "a$$b"),
        ("'a'\n  'b'", K.STRING, "ab"),
        ("B'101'", K.BIT_STRING, "b101"),
        ("42", K.INTEGER, "42"),
        ("4.2", K.NUMERIC, "4.2"),
        (".5", K.NUMERIC, ".5"),
        ("5.", K.NUMERIC, "5."),
        ("1e5", K.NUMERIC, "1e5"),
        ("$12", K.PARAM, "12"),
        ("!=", K.OPERATOR, "<>"),
        ("@-", K.OPERATOR, "@-"),
        ("::", K.PUNCTUATION, "::"),
        ("/* a /* b */ c */ x", K.WORD, "x"),
        ("-- a\nx", K.WORD, "x"),
    ],
)
def test_one_token(text, kind, value):
    """A statement would mean something else than in PostgreSQL."""
    assert lexed(text) == [(kind, value)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$1,$2", ["1", ",", "2"]),
        ("a=-5", ["a", "=", "-", "5"]),
        ("a-- b\n+c", ["a", "+", "c"]),
        ("1..5", ["1", "..", "5"]),
        ("x::int[]", ["x", "::", "int", "[", "]"]),
        ("a@>b", ["a", "@>", "b"]),
        ("a*/* */b", ["a", "*", "b"]),
    ],
)
def test_token_boundaries(text, values):
    """Drivers write statements without blanks."""
    assert [value for _, value in lexed(text)] == values


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("select 'abc", 'unterminated quoted string at or near "\'abc"', 8),
        ('select "abc', 'unterminated quoted identifier at or near ""abc"', 8),
        ("select /* x", 'unterminated /* comment at or near "/* x"', 8),
        ("select $$abc", 'unterminated dollar-quoted string at or near "$$abc"', 8),
        ("select 5x", 'trailing junk after numeric literal at or near "5x"', 8),
        ("select E'\\xff'", 'invalid byte sequence for encoding "UTF8": 0xff', None),
        (r"select E'\000'", 'invalid byte sequence for encoding "UTF8": 0x00', None),
        ('select ""', 'zero-length delimited identifier at or near """"', 8),
    ],
)
def test_errors(text, message, position):
    """The client's caret would point nowhere."""
    with pytest.raises(SqlError) as caught:
        tokenize(text)
    assert (caught.value.message, caught.value.position) == (message, position)


def test_long_names_are_cut():
    """PostgreSQL cuts names to 63 bytes, and clients rely on finding them so."""
    assert lexed("a" * 70) == [(K.WORD, "a" * 63)]
    assert lexed('"' + "é" * 40 + '"') == [(K.QUOTED, "é" * 31)]


@pytest.mark.parametrize(
    "text",
    [
        "select 'a' " + "-" * 60,
        "select u&'a' " + "-" * 60,
        "select '" + "x" * 1_000_000 + "'",
        "select E'" + "\\n" * 100_000 + "'",
        'select "' + '""' * 100_000 + '"',
        "select 'a'" + "\n" * 100_000,
    ],
)
def test_no_text_takes_long(text):
    """One statement would hold up a tenant's process for minutes."""
    assert tokenize(text)
