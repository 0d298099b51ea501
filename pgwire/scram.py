"""SCRAM-SHA-256, server side, sans-IO: prove a password without sending or storing it.

**Model**: the verifier holds StoredKey = H(ClientKey) and ServerKey. The client sends
ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage); from it the server gets ClientKey back and
compares its hash. A role that does not exist goes through the same exchange with a made-up verifier
whose salt is always the same for that name, so that nobody learns which roles exist.

Source: RFC 5802, RFC 7677, RFC 5929; PostgreSQL's auth-scram.c and saslprep.c.
"""

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from dataclasses import dataclass
from typing import Final

from pgwire.errors import InvalidPassword, ProtocolViolation

MECHANISM: Final = "SCRAM-SHA-256"
MECHANISM_PLUS: Final = "SCRAM-SHA-256-PLUS"
DEFAULT_ITERATIONS: Final = 4096
_ITERATIONS_MAX: Final = 10_000_000
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 18
_MESSAGE_BYTES_MAX: Final = 4096
_VERIFIER: Final = re.compile(r"SCRAM-SHA-256\$([0-9]{1,8}):([^$:]+)\$([^$:]+):([^$:]+)")
_PRINTABLE: Final = re.compile(r"[\x21-\x2B\x2D-\x7E]+")
_CLIENT_FIRST: Final = re.compile(
    r"((n|y|p=[A-Za-z0-9.-]+),(a=[^,]*)?,)((m=[^,]*,)?n=([^,]*),r=([^,]*)(?:,.*)?)", re.DOTALL
)
_CLIENT_FINAL: Final = re.compile(r"(c=([^,]*),r=([^,]*)(?:,[^,]*)*),p=([^,]*)")
_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def saslprep(password: str) -> str:
    """Normalise a password; one that cannot be normalised is used as it is, as in PostgreSQL.

    >>> saslprep("I\u00adX"), saslprep("\u00aa")
    ('IX', 'a')
    """
    if password.isascii():
        return password
    mapped = "".join(
        [
            " " if stringprep.in_table_c12(c) else c
            for c in password
            if not stringprep.in_table_b1(c)
        ]
    )
    text = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not text or any(is_bad(c) for c in text for is_bad in _PROHIBITED):
        return password
    if any(stringprep.in_table_d1(c) for c in text):
        is_mixed = any(stringprep.in_table_d2(c) for c in text)
        ends_right = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
        if is_mixed or not ends_right:
            return password
    return text


@dataclass(frozen=True, slots=True)
class Verifier:
    """What the server stores instead of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Parse 'SCRAM-SHA-256$4096:salt$StoredKey:ServerKey'. Raises: ValueError."""
        match = _VERIFIER.fullmatch(text)
        if match is None:
            raise ValueError("not a SCRAM-SHA-256 verifier")
        iterations = int(match[1])
        salt, stored_key, server_key = (
            base64.b64decode(match[n], validate=True) for n in (2, 3, 4)
        )
        if not 1 <= iterations <= _ITERATIONS_MAX or len(stored_key) != 32 or len(server_key) != 32:
            raise ValueError("not a SCRAM-SHA-256 verifier")
        return cls(iterations, salt, stored_key, server_key)

    def __str__(self) -> str:
        salt, stored, server = map(_b64, (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def __repr__(self) -> str:
        return "Verifier(…)"  # never in a log


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def build_verifier(password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
    """Derive the verifier of a password. `salt` is random, 16 bytes.

    NB: PBKDF2 takes milliseconds on purpose; keep it off an event loop.
    """
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return Verifier(iterations, salt, stored_key, _hmac(salted, b"Server Key"))


def mock_verifier(user: str, secret: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
    """Return a verifier no password fits, with a salt that depends only on `user` and `secret`."""
    salt = _hmac(secret, b"salt:" + user.encode())[:_SALT_BYTES]
    return Verifier(
        iterations,
        salt,
        _hmac(secret, b"stored:" + user.encode()),
        _hmac(secret, b"server:" + user.encode()),
    )


class ScramServer:
    """One exchange. Call `first` with the client's first message and `final` with its second.

    `nonce` is 18 random bytes. For a role that does not exist pass what `mock_verifier` returns and
    `is_mock=True`: the exchange fails at its end like with a wrong password.
    """

    def __init__(
        self,
        verifier: Verifier,
        nonce: bytes,
        *,
        is_mock: bool = False,
        certificate_digest: bytes | None = None,
    ) -> None:
        if len(nonce) < _NONCE_BYTES:
            raise ValueError(f"a SCRAM nonce needs {_NONCE_BYTES} bytes, got {len(nonce)}")
        self._verifier = verifier
        self._nonce = _b64(nonce)
        self._is_mock = is_mock
        self._digest = certificate_digest
        self._gs2_header = ""
        self._is_binding = False
        self._client_first_bare = ""
        self._server_first = ""
        self._full_nonce = ""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What to offer in AuthenticationSASL."""
        return (MECHANISM_PLUS, MECHANISM) if self._digest is not None else (MECHANISM,)

    def first(self, mechanism: str, message: bytes) -> bytes:
        """Return server-first-message. Raises: ProtocolViolation, InvalidPassword."""
        if mechanism not in self.mechanisms:
            raise _malformed("client selected an invalid SASL authentication mechanism", None)
        match = _CLIENT_FIRST.fullmatch(_text(message))
        if match is None:
            raise _malformed("malformed SCRAM message", "The client's first message is wrong.")
        self._gs2_header, flag, authzid = match[1], match[2], match[3]
        self._check_binding_flag(mechanism, flag)
        if authzid is not None:
            raise _malformed("client uses authorization identity, but it is not supported", None)
        if match[5] is not None:
            raise _malformed("client requires an unsupported SCRAM extension", None)
        client_nonce = match[7]
        if _PRINTABLE.fullmatch(client_nonce) is None:
            raise _malformed("non-printable characters in SCRAM nonce", None)
        self._client_first_bare = match[4]
        self._full_nonce = client_nonce + self._nonce
        self._server_first = (
            f"r={self._full_nonce},s={_b64(self._verifier.salt)},i={self._verifier.iterations}"
        )
        return self._server_first.encode()

    def _check_binding_flag(self, mechanism: str, flag: str) -> None:
        self._is_binding = flag.startswith("p=")
        if self._is_binding != (mechanism == MECHANISM_PLUS):
            raise _malformed(
                "malformed SCRAM message",
                "The channel-binding flag does not fit the selected mechanism.",
            )
        if self._is_binding and flag != "p=tls-server-end-point":
            raise _malformed(f'unsupported SCRAM channel-binding type "{flag[2:]}"', None)
        if flag == "y" and self._digest is not None:
            # The client believes we cannot bind, though we offered it: someone is in between.
            raise _malformed("SCRAM channel binding negotiation error", None)

    def final(self, message: bytes) -> bytes:
        """Return server-final-message: the password was right.

        Raises: InvalidPassword if it was not, ProtocolViolation.
        """
        if not self._server_first:
            raise _malformed("malformed SCRAM message", "The first message is missing.")
        text = _text(message)
        match = _CLIENT_FINAL.fullmatch(text)
        if match is None:
            raise _malformed("malformed SCRAM message", "The client's final message is wrong.")
        without_proof, binding, nonce = match[1], match[2], match[3]
        expected = self._gs2_header.encode() + ((self._digest or b"") if self._is_binding else b"")
        if not hmac.compare_digest(_decode(binding), expected):
            raise _malformed("SCRAM channel binding check failed", None)
        if not hmac.compare_digest(nonce.encode(), self._full_nonce.encode()):
            raise _malformed("invalid SCRAM response", "Nonce does not match.")
        proof = _decode(match[4])
        if len(proof) != 32:
            raise _malformed("malformed SCRAM message", "Malformed proof in client-final-message.")
        auth_message = f"{self._client_first_bare},{self._server_first},{without_proof}".encode()
        signature = _hmac(self._verifier.stored_key, auth_message)
        client_key = bytes([a ^ b for a, b in zip(proof, signature, strict=True)])
        candidate = hashlib.sha256(client_key).digest()
        is_right = hmac.compare_digest(candidate, self._verifier.stored_key)
        if not is_right or self._is_mock:
            raise InvalidPassword("password authentication failed")
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, auth_message))


def _text(message: bytes) -> str:
    if len(message) > _MESSAGE_BYTES_MAX:
        raise _malformed("malformed SCRAM message", "The message is too long.")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise _malformed("malformed SCRAM message", "The message is not UTF-8.") from None


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("malformed SCRAM message", "Invalid base64.") from None


def _malformed(text: str, detail: str | None) -> ProtocolViolation:
    return ProtocolViolation(text, detail=detail, severity="FATAL")
