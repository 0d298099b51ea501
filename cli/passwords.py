"""Where a command gets a password from: option, file, environment, prompt. In this order."""

import os
import secrets
import sys
from pathlib import Path
from typing import Final

from cli.errors import USAGE, CommandFailed
from pgwire.scram import build_verifier

_SALT_BYTES: Final = 16
PASSWORD_ENV: Final = "INSULA_PASSWORD"


def read_password(given: str | None, file: Path | None, *, who: str) -> str:
    """Return the password. Raises: CommandFailed if there is none, or it is empty."""
    password = _find_password(given, file, who=who)
    if not password:
        raise CommandFailed("the password is empty", exit_code=USAGE)
    return password


def _find_password(given: str | None, file: Path | None, *, who: str) -> str:
    if given is not None:
        return given
    if file is not None:
        try:
            return file.read_text().rstrip("\r\n")
        except OSError as error:
            raise CommandFailed(f"cannot read the password file: {error}") from error
    if PASSWORD_ENV in os.environ:
        return os.environ[PASSWORD_ENV]
    if not sys.stdin.isatty():
        raise CommandFailed(
            "no password",
            exit_code=USAGE,
            hint=f"give --password, --password-file or {PASSWORD_ENV}",
        )
    import typer

    prompted: str = typer.prompt(f"Password for {who}", hide_input=True, confirmation_prompt=True)
    return prompted


def make_verifier(password: str) -> str:
    """Derive what the store keeps instead of the password."""
    return str(build_verifier(password, secrets.token_bytes(_SALT_BYTES)))
