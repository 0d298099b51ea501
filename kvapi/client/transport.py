"""What a transport is to the client, and which one an address means."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from kvapi.client.config import ClientConfig

UNIX_PREFIX = "unix:"


class MonotonicClock(Protocol):
    """What the client asks of a clock."""

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...


class TransportEvents(NamedTuple):
    """A transport's owner. `lost` is called exactly once, unless `close` came first."""

    take_frames: Callable[[], list[bytes]]
    receive: Callable[[bytes], None]  # raises KvError: the stream is over
    lost: Callable[[Exception | None], None]


class Transport(Protocol):
    """Carries frame bodies both ways, in order. Used once: open, …, lost or close."""

    async def open(self) -> None:
        """Connect. Raises: OSError."""
        ...

    def send(self, body: bytes) -> None:
        """Send one frame now, ahead of `wake`."""
        ...

    def wake(self) -> None:
        """There are frames to take."""
        ...

    def close(self) -> None:
        """Drop the connection, silently."""
        ...


MakeTransport = Callable[
    [str, ClientConfig, TransportEvents, Callable[[], float]], Transport
]  # address, …, monotonic_s


def make_transport(
    address: str,
    config: ClientConfig,
    events: TransportEvents,
    monotonic_s: Callable[[], float],
) -> Transport:
    """Return the transport of an address: `unix:/path`, or `host:port` for gRPC."""
    if address.startswith(UNIX_PREFIX):
        from kvapi.client.unix_transport import UnixTransport

        return UnixTransport(address.removeprefix(UNIX_PREFIX), config, events, monotonic_s)
    # Imported on use: gRPC costs 80 ms and 10 MB that a process with a Unix socket never needs.
    from kvapi.client.grpc_transport import GrpcTransport

    return GrpcTransport(address, config, events)
