"""runtime.service_notify, and the files of deploy/."""

import configparser
import socket
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from cli.main import app
from runtime.service_notify import notify_service_manager

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told(tmp_path, kind):
    """systemd would kill a stack that serves, for not being ready in time."""
    name = str(tmp_path / "n")[-90:] if kind == "path" else "@insula-test-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name if kind == "path" else "\0" + name[1:])
        sock.settimeout(5)
        notify_service_manager("READY=1", {"NOTIFY_SOCKET": name})
        assert sock.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens():
    """A stack started by hand would fail."""
    notify_service_manager("READY=1", {})
    notify_service_manager("READY=1", {"NOTIFY_SOCKET": "/nowhere/socket"})


def test_the_unit_calls_a_command_that_exists():
    """The service file would name an option that is gone."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "insula.service")
    words = unit["Service"]["ExecStart"].split()
    start = get_command(app).commands[words[1]]
    known = {option for parameter in start.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_prometheus_scrapes_the_right_path():
    """Prometheus would scrape nothing."""
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
