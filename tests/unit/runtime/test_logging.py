"""runtime.logging: JSON lines with fields."""

import io
import json
import logging

import pytest

from runtime.logging import JsonFormatter, TextFormatter, bound_fields, configure_logging


@pytest.fixture
def stream():
    """Capture what the root logger writes; put its handlers back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("test", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_record_is_one_json_object_with_its_fields(stream):
    """Log collectors could not read our logs."""
    with bound_fields(tenant_id=7):
        logging.getLogger("a.b").info("session_opened", extra={"session_id": 3})
    line = json.loads(stream.getvalue())
    assert line["event"] == "session_opened"
    assert (line["tenant_id"], line["session_id"], line["process"]) == (7, 3, "test")
    assert line["ts"].endswith("Z")


def test_an_exception_stays_on_its_line(stream):
    """A traceback over many lines is many broken records."""
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["exception"]


def test_text_for_a_terminal():
    """People would have to read JSON."""
    record = logging.makeLogRecord({"msg": "ready", "levelname": "INFO", "port": 5})
    assert "INFO    kv: ready port=5" in TextFormatter("kv").format(record)
    assert json.loads(JsonFormatter("kv").format(record))["port"] == 5


@pytest.mark.parametrize("is_json", [True, False])
def test_messages_of_exceptions_can_be_left_out(stream, is_json):
    """A failed statement would leave a customer's data in the log."""
    configure_logging("sqlnode", stream=stream, is_json=is_json, is_redacted=True)
    try:
        try:
            raise KeyError("a secret")
        except KeyError as error:
            raise RuntimeError("a secret") from error
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    text = stream.getvalue()
    assert "KeyError" in text
    assert "RuntimeError" in text
    assert "test_logging.py" in text
    assert text.count("a secret") == 2  # in our own source lines, where nobody's data is
