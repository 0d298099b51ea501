"""The lexer: PostgreSQL's lexical rules as one compiled regular expression.

**Model.** The master expression recognizes one token at a time after skipping white space and
comments; what a regular expression cannot do (nested comments, Unicode escapes, trimming
operators) is finished by hand. Numbers followed at once by a letter lex as two tokens, as in
PostgreSQL before 15 and as drivers rely on not to happen: PostgreSQL 15 calls it trailing junk,
and so do we.

**Source.** src/backend/parser/scan.l; docs, section 4.1 "Lexical Structure".
"""

import re
from typing import Final

from pgwire.errors import CharacterNotInRepertoire, InvalidEscapeSequence, SqlSyntaxError
from sqlnode.parse.tokens import Token, TokenKind

IDENTIFIER_BYTES_MAX: Final = 63

_MASTER: Final = re.compile(
    r"""
    (?P<space>(?:[ \t\n\r\f\v]++|--[^\n\r]*+)++)
  | (?P<comment>/\*)
  | (?P<prefixed>(?:[eE]|[bB]|[xX]|[nN]|[uU]&)')
  | (?P<unicode_quoted>[uU]&")
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
  | (?P<string>'(?:[^']++|'')*+')
  | (?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<param>\$\d+)
  | (?P<dollar>\$(?:[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)?\$)
  | (?P<punctuation>::|:=|\.\.|[()\[\],;:.])
  | (?P<quoted>"(?:[^"]++|"")*+")
  | (?P<operator>[-+*/<>=~!@\#%^&|`?]+)
    """,
    re.VERBOSE,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_ESCAPED: Final = re.compile(r"'(?:[^'\\]++|''|\\.)*+'", re.DOTALL)
_PLAIN: Final = re.compile(r"'(?:[^']++|'')*+'")
_CONTINUED: Final = re.compile(
    r"(?:[ \t\f\v]++|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]++|--[^\n\r]*+)*+(?=')"
)
_BACKSLASH: Final = re.compile(
    r"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_BYTE_ESCAPE: Final = 0xDC00  # Python's surrogateescape: how a byte stands in a str
_SIMPLE_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SPECIAL_OPERATOR: Final = frozenset("~!@#%^&|`?")
_UESCAPE: Final = re.compile(
    r"(?:[ \t\n\r\f\v]++|--[^\n\r]*+)++uescape[ \t\n\r\f\v]*+'([^'])'", re.IGNORECASE
)


def syntax_error_near(text: str, start: int, end: int) -> SqlSyntaxError:
    """Build 'syntax error at or near "…"', or '… at end of input' where there is nothing."""
    near = text[start:end]
    if not near:
        return SqlSyntaxError("syntax error at end of input", position=len(text) + 1)
    return SqlSyntaxError(f'syntax error at or near "{near}"', position=start + 1)


def tokenize(text: str) -> list[Token]:
    """Split `text` into tokens; the last one is END.

    Raises: SqlSyntaxError, InvalidEscapeSequence. Names over 63 bytes are cut, as in PostgreSQL.
    """
    tokens: list[Token] = []
    at, size = 0, len(text)
    match_at = _MASTER.match
    while at < size:
        match = match_at(text, at)
        if match is None:
            raise _unmatched(text, at)
        kind = match.lastgroup
        end = match.end()
        if kind == "space":
            at = end
            continue
        if kind == "word":
            tokens.append(Token(TokenKind.WORD, fold_identifier(match.group()), at, end))
        elif kind == "punctuation":
            tokens.append(Token(TokenKind.PUNCTUATION, match.group(), at, end))
        elif kind == "comment":
            end = _skip_comment(text, at)
        else:
            token = _LEX[kind or ""](text, at, match.group())
            end = token.end
            tokens.append(token)
        at = end
    tokens.append(Token(TokenKind.END, "", size, size))
    return tokens


def fold_identifier(name: str) -> str:
    """Fold an unquoted identifier: ASCII letters to lower case, cut to 63 bytes."""
    return _cut(name.lower() if name.isascii() else _fold_ascii(name))


def _fold_ascii(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


def _cut(name: str) -> str:
    if (
        len(name) <= IDENTIFIER_BYTES_MAX // 4
        or len(encoded := name.encode()) <= IDENTIFIER_BYTES_MAX
    ):
        return name
    return encoded[:IDENTIFIER_BYTES_MAX].decode(errors="ignore")


def _unmatched(text: str, at: int) -> SqlSyntaxError:
    rest, char = text[at:], text[at]
    if char == "'":
        return SqlSyntaxError(f'unterminated quoted string at or near "{rest}"', position=at + 1)
    if char == '"':
        return SqlSyntaxError(
            f'unterminated quoted identifier at or near "{rest}"', position=at + 1
        )
    return syntax_error_near(text, at, at + 1)


def _skip_comment(text: str, at: int) -> int:
    depth, scan = 0, at
    while (edge := _COMMENT_EDGE.search(text, scan)) is not None:
        depth += 1 if edge.group() == "/*" else -1
        scan = edge.end()
        if depth == 0:
            return scan
    raise SqlSyntaxError(f'unterminated /* comment at or near "{text[at:]}"', position=at + 1)


def _number(text: str, at: int, match: str) -> Token:
    end = at + len(match)
    if end < len(text) and (text[end].isalpha() or text[end] == "_"):
        junk = re.match(r"\w+", text[end:])
        near = text[at : end + (junk.end() if junk else 1)]
        raise SqlSyntaxError(
            f'trailing junk after numeric literal at or near "{near}"', position=at + 1
        )
    kind = TokenKind.INTEGER if match.isdecimal() else TokenKind.NUMERIC
    return Token(kind, match, at, end)


def _operator(text: str, at: int, match: str) -> Token:
    """Cut an operator before a comment, and a trailing + or - unless it has a special character."""
    for start in ("--", "/*"):
        cut = match.find(start)
        if cut >= 0:
            match = match[:cut]
    while len(match) > 1 and match[-1] in "+-" and not _SPECIAL_OPERATOR & set(match[:-1]):
        match = match[:-1]
    return Token(TokenKind.OPERATOR, "<>" if match == "!=" else match, at, at + len(match))


def _string(text: str, at: int, match: str) -> Token:
    value, end = match[1:-1].replace("''", "'"), at + len(match)
    return _continue_string(text, Token(TokenKind.STRING, value, at, end))


def _continue_string(text: str, token: Token) -> Token:
    """Join a string constant with the next if only white space with a newline is between."""
    while (gap := _CONTINUED.match(text, token.end)) is not None:
        more = _PLAIN.match(text, gap.end())
        if more is None:
            raise _unmatched(text, gap.end())
        value = token.value + more.group()[1:-1].replace("''", "'")
        token = Token(token.kind, value, token.start, more.end())
    return token


def _prefixed(text: str, at: int, match: str) -> Token:
    prefix = match[0].lower()
    body = at + len(match) - 1
    found = (_ESCAPED if prefix == "e" else _PLAIN).match(text, body)
    if found is None:
        raise SqlSyntaxError(
            f'unterminated quoted string at or near "{text[at:]}"', position=at + 1
        )
    content, end = found.group()[1:-1].replace("''", "'"), found.end()
    if prefix == "e":
        content = _unescape(found.group()[1:-1], at)
    elif prefix == "u":
        escape, end = _uescape(text, end)
        content = _unicode_unescape(content, escape, at)
    elif prefix in "bx":
        return _bit_string(prefix, content, at, end)
    return _continue_string(text, Token(TokenKind.STRING, content, at, end))


def _bit_string(prefix: str, content: str, at: int, end: int) -> Token:
    allowed, what = ("01", "binary") if prefix == "b" else ("0123456789abcdefABCDEF", "hexadecimal")
    for char in content:
        if char not in allowed:
            raise SqlSyntaxError(
                f'"{char}" is not a valid {what} digit', position=at + 1, sqlstate="22P02"
            )
    return Token(TokenKind.BIT_STRING, prefix + content, at, end)


def _unescape(content: str, at: int) -> str:
    """Resolve the backslash escapes of E'…'. Octal and hexadecimal ones are bytes of UTF-8."""
    if "\\" not in content:
        return content.replace("''", "'")

    def replace(match: re.Match[str]) -> str:
        if match.group() == "''":
            return "'"
        octal, hexadecimal, short, long, char = match.groups()
        if octal is not None or hexadecimal is not None:
            byte = int(octal, 8) & 0xFF if octal is not None else int(hexadecimal, 16)
            return chr(byte) if byte < 0x80 else chr(_BYTE_ESCAPE + byte)
        if digits := short or long:
            return _code_point(digits, at)
        if char in "uU":
            raise InvalidEscapeSequence(
                "invalid Unicode escape",
                hint="Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
                position=at + 1,
            )
        return _SIMPLE_ESCAPES.get(char, char)

    return _decode(_BACKSLASH.sub(replace, content), at)


def _code_point(digits: str, at: int) -> str:
    value = int(digits, 16)
    if not 0 < value <= 0x10FFFF:
        raise SqlSyntaxError("invalid Unicode escape value", position=at + 1)
    return chr(value)


def _decode(content: str, at: int) -> str:
    """Join surrogate pairs, then bytes that make up UTF-8."""
    if "\0" in content:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    if not any("\ud800" <= c <= "\udfff" for c in content):
        return content
    try:
        return content.encode("utf-8", "surrogateescape").decode()
    except UnicodeEncodeError:
        return _join_surrogates(content, at)
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.end])
        raise CharacterNotInRepertoire(
            f'invalid byte sequence for encoding "UTF8": {shown}'
        ) from error


def _join_surrogates(content: str, at: int) -> str:
    if not any("\ud800" <= c <= "\udfff" for c in content):
        return content
    try:
        return content.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise SqlSyntaxError("invalid Unicode surrogate pair", position=at + 1) from error


def _uescape(text: str, end: int) -> tuple[str, int]:
    found = _UESCAPE.match(text, end)
    return (found.group(1), found.end()) if found else ("\\", end)


def _unicode_unescape(content: str, escape: str, at: int) -> str:
    mark = re.escape(escape)

    def replace(match: re.Match[str]) -> str:
        digits = match.group(1) or match.group(2)
        if digits is not None:
            return _code_point(digits, at)
        if match.group(3) is not None:
            return escape
        raise SqlSyntaxError(
            "invalid Unicode escape",
            hint="Unicode escapes must be \\XXXX or \\+XXXXXX.",
            position=at + 1,
        )

    pattern = rf"{mark}(?:([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|({mark})|)"
    return _join_surrogates(re.sub(pattern, replace, content), at)


def _dollar(text: str, at: int, match: str) -> Token:
    close = text.find(match, at + len(match))
    if close < 0:
        raise SqlSyntaxError(
            f'unterminated dollar-quoted string at or near "{text[at:]}"', position=at + 1
        )
    return Token(TokenKind.STRING, text[at + len(match) : close], at, close + len(match))


def _quoted(text: str, at: int, match: str) -> Token:
    name = match[1:-1].replace('""', '"')
    if not name:
        raise SqlSyntaxError(
            f'zero-length delimited identifier at or near "{match}"', position=at + 1
        )
    return Token(TokenKind.QUOTED, _cut(name), at, at + len(match))


def _unicode_quoted(text: str, at: int, match: str) -> Token:
    found = re.compile(r'"(?:[^"]++|"")*+"').match(text, at + 2)
    if found is None:
        raise _unmatched(text, at + 2)
    plain = _quoted(text, at + 2, found.group())
    escape, end = _uescape(text, found.end())
    return Token(TokenKind.QUOTED, _cut(_unicode_unescape(plain.value, escape, at)), at, end)


def _param(text: str, at: int, match: str) -> Token:
    end = at + len(match)
    if end < len(text) and (text[end].isalpha() or text[end] == "_"):
        raise SqlSyntaxError(
            f'trailing junk after parameter at or near "{text[at : end + 1]}"', position=at + 1
        )
    return Token(TokenKind.PARAM, match[1:], at, end)


_LEX: Final = {
    "number": _number,
    "operator": _operator,
    "string": _string,
    "prefixed": _prefixed,
    "dollar": _dollar,
    "quoted": _quoted,
    "unicode_quoted": _unicode_quoted,
    "param": _param,
}
