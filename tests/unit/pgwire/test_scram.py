"""SCRAM against an independent client."""

import pytest
from scramp import ScramClient

from pgwire import errors, scram

SALT, NONCE = b"0123456789abcdef", b"n" * 18


def exchange(verifier, password, *, digest=None, is_mock=False):
    server = scram.ScramServer(verifier, NONCE, certificate_digest=digest, is_mock=is_mock)
    binding = None if digest is None else ("tls-server-end-point", digest)
    client = ScramClient(list(server.mechanisms), "user", password, channel_binding=binding)
    client_first = client.get_client_first()
    client.set_server_first(server.first(client.mechanism_name, client_first.encode()).decode())
    client.set_server_final(server.final(client.get_client_final().encode()).decode())
    return client.mechanism_name


def test_right_password():
    """Nobody could log in, or the client could not verify the server."""
    verifier = scram.Verifier.parse(str(scram.build_verifier("pencil", SALT, 4096)))
    assert exchange(verifier, "pencil") == "SCRAM-SHA-256"


def test_channel_binding():
    """A man in the middle with another certificate could relay the exchange."""
    verifier = scram.build_verifier("pencil", SALT, 4096)
    assert exchange(verifier, "pencil", digest=b"d" * 32) == "SCRAM-SHA-256-PLUS"


def test_wrong_password_and_unknown_role():
    """Anybody could log in, or learn which roles exist."""
    with pytest.raises(errors.InvalidPassword):
        exchange(scram.build_verifier("pencil", SALT, 4096), "pen")
    mock = scram.mock_verifier("ghost", b"secret", 4096)
    assert mock == scram.mock_verifier("ghost", b"secret", 4096)
    assert mock.salt != scram.mock_verifier("other", b"secret", 4096).salt
    with pytest.raises(errors.InvalidPassword):
        exchange(mock, "pencil", is_mock=True)


def test_verifier_of_postgresql():
    """Verifiers dumped from PostgreSQL could not be used, or passwords would not fit."""
    text = (
        "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$"
        + str(scram.build_verifier("x", SALT)).split("$", 2)[2]
    )
    assert scram.Verifier.parse(text) == scram.build_verifier("x", SALT, 4096)
    assert "$" not in repr(scram.Verifier.parse(text))
    for bad in ("", "md5abc", "SCRAM-SHA-256$0:YQ==$YQ==:YQ==", text[:-9]):
        with pytest.raises(ValueError, match=r"verifier|padding|Incorrect|Invalid"):
            scram.Verifier.parse(bad)


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff", b"n,,n=,r=", b"p=x,,n=,r=a", b"y,,n=u,r=a b", b"n,a=u,n=,r=a", b"x" * 9000],
)
def test_malformed_first(message):
    """A broken client would end in an internal error."""
    server = scram.ScramServer(scram.mock_verifier("u", b"s"), NONCE)
    with pytest.raises(errors.SqlError):
        server.first("SCRAM-SHA-256", message)
    with pytest.raises(errors.SqlError):
        server.final(b"c=biws,r=a,p=AA==")


def test_downgrade_is_refused():
    """Stripping -PLUS from the offer would go unnoticed."""
    server = scram.ScramServer(scram.mock_verifier("u", b"s"), NONCE, certificate_digest=b"d" * 32)
    with pytest.raises(errors.ProtocolViolation):
        server.first("SCRAM-SHA-256", b"y,,n=,r=abc")


def test_saslprep():
    """Passwords typed on another keyboard would not fit."""
    assert scram.saslprep("I\u00adX") == "IX"
    assert scram.saslprep("\u2168") == "IX"
    assert scram.saslprep("a\u00a0b") == "a b"
    assert scram.saslprep("\u0627\u0031") == "\u0627\u0031"
