"""A cursor over tokens: the one way every parser here reads them.

**Model.** `peek` looks, `accept` takes if it matches, `expect` takes or raises PostgreSQL's syntax
error at the token. Key words are compared in lower case; a quoted identifier is never a key word.
"""

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.parse.keywords import NOT_COLUMN, NOT_FUNCTION, RESERVED
from sqlnode.parse.lexer import syntax_error_near, tokenize
from sqlnode.parse.tokens import Token, TokenKind

_WORD, _QUOTED = TokenKind.WORD, TokenKind.QUOTED
_OPERATOR, _PUNCTUATION = TokenKind.OPERATOR, TokenKind.PUNCTUATION


class TokenCursor:
    """Tokens of one statement and a place among them."""

    def __init__(self, text: str, tokens: list[Token] | None = None) -> None:
        self.text = text
        self.tokens = tokenize(text) if tokens is None else tokens
        self.at = 0

    @property
    def token(self) -> Token:
        """The token that is read next."""
        return self.tokens[self.at]

    @property
    def position(self) -> int:
        """1-based character of the next token."""
        return self.tokens[self.at].start + 1

    @property
    def at_end(self) -> bool:
        return self.tokens[self.at].kind is TokenKind.END

    def look(self, ahead: int = 1) -> Token:
        """Return a token further on; END beyond the last."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Take the next token, whatever it is."""
        token = self.tokens[self.at]
        if token.kind is not TokenKind.END:
            self.at += 1
        return token

    def error(self, token: Token | None = None) -> SqlSyntaxError:
        """Build the syntax error at `token`, or at the next one."""
        token = token or self.token
        return syntax_error_near(self.text, token.start, token.end)

    def unsupported(self, what: str) -> FeatureNotSupported:
        """Build the 0A000 error that names `what`, at the next token."""
        return FeatureNotSupported(f"{what} is not supported", position=self.position)

    # Key words

    def peek(self, *words: str) -> bool:
        """Say whether the next tokens are these key words (lower case), in order."""
        at = self.at
        for word in words:
            token = self.tokens[at]
            if token.value != word or token.kind is not _WORD:
                return False
            at += 1
        return True

    def peek_any(self, *words: str) -> bool:
        """Say whether the next token is one of these key words."""
        token = self.tokens[self.at]
        return token.kind is _WORD and token.value in words

    def accept(self, *words: str) -> bool:
        """Take these key words if they all come next."""
        if self.peek(*words):
            self.at += len(words)
            return True
        return False

    def accept_any(self, *words: str) -> str | None:
        """Take one of these key words if it comes next and return it."""
        token = self.tokens[self.at]
        if token.kind is _WORD and token.value in words:
            self.at += 1
            return token.value
        return None

    def expect(self, *words: str) -> None:
        """Take these key words. Raises: SqlSyntaxError at the first that is missing."""
        for word in words:
            if not self.accept(word):
                raise self.error()

    def expect_any(self, *words: str) -> str:
        """Take one of these key words. Raises: SqlSyntaxError."""
        if (word := self.accept_any(*words)) is None:
            raise self.error()
        return word

    # Symbols

    def peek_symbol(self, *symbols: str) -> bool:
        """Say whether the next token is one of these operators or punctuation marks."""
        token = self.tokens[self.at]
        return token.kind in (_PUNCTUATION, _OPERATOR) and token.value in symbols

    def accept_symbol(self, *symbols: str) -> str | None:
        """Take one of these symbols if it comes next and return it."""
        token = self.tokens[self.at]
        if token.kind in (_PUNCTUATION, _OPERATOR) and token.value in symbols:
            self.at += 1
            return token.value
        return None

    def expect_symbol(self, symbol: str) -> None:
        """Take this symbol. Raises: SqlSyntaxError."""
        if self.accept_symbol(symbol) is None:
            raise self.error()

    def expect_end(self) -> None:
        """Raise SqlSyntaxError unless all tokens are read; one closing semicolon is allowed."""
        self.accept_symbol(";")
        if not self.at_end:
            raise self.error()

    # Names and literals

    def _name(self, forbidden: frozenset[str]) -> str:
        token = self.tokens[self.at]
        if token.kind is _QUOTED or (token.kind is _WORD and token.value not in forbidden):
            self.at += 1
            return token.value
        raise self.error()

    def identifier(self) -> str:
        """Take a name for a column or table (ColId)."""
        return self._name(NOT_COLUMN)

    def function_name(self) -> str:
        """Take a name for a function or type (type_function_name)."""
        return self._name(NOT_FUNCTION)

    def label(self) -> str:
        """Take any word at all (ColLabel)."""
        return self._name(frozenset())

    def non_reserved_word(self) -> str:
        """Take any word but a reserved one."""
        return self._name(RESERVED)

    def peek_identifier(self) -> bool:
        """Say whether `identifier` would succeed."""
        token = self.tokens[self.at]
        return token.kind is _QUOTED or (token.kind is _WORD and token.value not in NOT_COLUMN)

    def qualified_name(self) -> tuple[str, ...]:
        """Take `a`, `a.b` or `a.b.c`; the relation's own name comes last."""
        parts = [self.identifier()]
        while self.accept_symbol("."):
            parts.append(self.label())
        return tuple(parts)

    def identifier_list(self) -> tuple[str, ...]:
        """Take `(a, b, …)`."""
        self.expect_symbol("(")
        names = [self.identifier()]
        while self.accept_symbol(","):
            names.append(self.identifier())
        self.expect_symbol(")")
        return tuple(names)

    def string(self) -> str:
        """Take a string constant."""
        token = self.tokens[self.at]
        if token.kind is not TokenKind.STRING:
            raise self.error()
        self.at += 1
        return token.value

    def integer(self) -> int:
        """Take an integer constant with an optional sign."""
        sign = -1 if self.accept_symbol("+", "-") == "-" else 1
        token = self.tokens[self.at]
        if token.kind is not TokenKind.INTEGER:
            raise self.error()
        self.at += 1
        return sign * int(token.value)

    # Text of what was read

    def text_since(self, mark: int) -> str:
        """Return the source text of the tokens from index `mark` up to the next one."""
        if self.at <= mark:
            return ""
        return self.text[self.tokens[mark].start : self.tokens[self.at - 1].end]
