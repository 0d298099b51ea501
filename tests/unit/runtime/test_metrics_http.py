"""runtime.metrics_http: what it answers."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from runtime.metrics_http import respond


@pytest.mark.parametrize(
    ("request_line", "is_ready", "status"),
    [
        (b"GET /health HTTP/1.1", False, b"200"),
        (b"GET /livez HTTP/1.1", False, b"200"),
        (b"GET /health?ready=1 HTTP/1.1", False, b"503"),
        (b"GET /readyz HTTP/1.1", True, b"200"),
        (b"HEAD /metrics HTTP/1.1", True, b"200"),
        (b"GET /nope HTTP/1.1", True, b"404"),
        (b"POST /metrics HTTP/1.1", True, b"405"),
        (b"nonsense", True, b"405"),
    ],
)
def test_statuses(request_line, is_ready, status):
    """A load balancer would take a node that is not ready."""
    answer = respond(request_line + b"\r\nHost: x\r\n\r\n", CollectorRegistry(), is_ready=is_ready)
    assert answer.split(b" ")[1] == status


def test_metrics_are_there():
    """Prometheus would see nothing."""
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc()
    answer = respond(b"GET /metrics HTTP/1.1\r\n\r\n", registry, is_ready=True)
    assert b"things_total 1.0" in answer
