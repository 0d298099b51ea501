"""Tells systemd how the service is: the datagram protocol of sd_notify.

Source: sd_notify(3).
"""

import contextlib
import socket
from collections.abc import Mapping


def notify_service_manager(state: str, environment: Mapping[str, str]) -> None:
    """Send `state` (for instance "READY=1") to systemd; do nothing if it did not start us."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # A name that starts with @ is in the abstract namespace, where a zero byte stands first.
    address = f"\0{path[1:]}" if path.startswith("@") else path
    # Readiness is a courtesy: the stack serves whether or not systemd listens.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
