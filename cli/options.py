"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import OutputFormat

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Data directory of the stack; else INSULA_DATA_DIR, else ~/.local/share/insula."
    ),
]
Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="Output format.")]
Password = Annotated[
    str | None,
    typer.Option(help="Password; else --password-file, INSULA_PASSWORD, or a prompt."),
]
PasswordFile = Annotated[Path | None, typer.Option(help="File that holds the password.")]
User = Annotated[str | None, typer.Option(help="User; may be left out if there is only one.")]
TenantName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the tenant.")]
HostPortText = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Port 0 picks one.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", exists=True, dir_okay=False, help="TOML file.")
]
ReadyFile = Annotated[
    Path | None, typer.Option(help="Written, as JSON and at once, when everything serves.")
]
