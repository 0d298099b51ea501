"""Where a stream sends its frames."""

from typing import Protocol


class Outlet(Protocol):
    """The sending half of a transport."""

    def send(self, body: bytes) -> None:
        """Send one frame's body."""
        ...

    def close(self) -> None:
        """Close the stream after what was sent."""
        ...
