"""How a command fails: a message on standard error and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no stack is ready.
"""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
NOT_READY: Final = 3


class CommandFailed(Exception):
    """Stop the command with a message for the operator."""

    def __init__(self, message: str, *, exit_code: int = FAILED, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.hint = hint
