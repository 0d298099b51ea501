"""SCRAM-SHA-256 between a client and what the tenant's catalog knows of its user.

**Invariants.** No answer tells apart a wrong password, a user who does not exist and a tenant that
does not exist: all three take the same exchange and end with 28P01.
"""

from collections.abc import Callable
from typing import Final

from gateway.client_socket import ClientSocket
from gateway.login_directory import Login
from pgwire.errors import InvalidPassword, ProtocolViolation
from pgwire.frames import parse_sasl_initial_response
from pgwire.messages import (
    authentication_sasl,
    authentication_sasl_continue,
    authentication_sasl_final,
)
from pgwire.scram import ScramServer, Verifier, mock_verifier

_NONCE_BYTES: Final = 18


async def authenticate(
    client: ClientSocket,
    login: Login | None,
    *,
    identity: tuple[str, str],
    mock_secret: bytes,
    random_bytes: Callable[[int], bytes],
) -> None:
    """Run the exchange for `identity` (tenant, user).

    Raises: InvalidPassword, ProtocolViolation, ClientGone.
    """
    tenant, user = identity
    text = login.scram_verifier if login is not None else ""
    verifier = Verifier.parse(text) if text else mock_verifier(f"{tenant}.{user}", mock_secret)
    server = ScramServer(verifier, random_bytes(_NONCE_BYTES), is_mock=not text)
    await client.write(authentication_sasl(server.mechanisms))
    mechanism, first = parse_sasl_initial_response(await client.read_password_payload())
    if first is None:
        raise ProtocolViolation("the first SASL message is empty", severity="FATAL")
    await client.write(authentication_sasl_continue(server.first(mechanism, first)))
    final = await client.read_password_payload()
    try:
        answer = server.final(final)
    except InvalidPassword as error:
        raise InvalidPassword(f'password authentication failed for user "{user}"') from error
    await client.write(authentication_sasl_final(answer))
