"""runtime.run_dir, runtime.atomic_file, runtime.address."""

import json
import os
import socket

import pytest

from runtime.address import bound_address, listen_tcp, open_listener, parse_host_port
from runtime.atomic_file import write_json_atomically
from runtime.config_error import ConfigError
from runtime.run_dir import PATH_BYTES_MAX, find_run_dir, make_run_dir, remove_run_dir


def test_a_deep_data_directory_gets_a_short_run_folder(tmp_path):
    """A Unix socket under a long path cannot be bound: the stack would not start there."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    run_dir = make_run_dir(deep)
    try:
        assert find_run_dir(deep) == run_dir
        path = run_dir / ".s.PGSQL.65535"
        assert len(os.fsencode(path)) <= PATH_BYTES_MAX
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        assert run_dir.stat().st_mode & 0o777 == 0o700
    finally:
        remove_run_dir(deep)
    assert not run_dir.exists()
    assert find_run_dir(deep) == deep / "run"


def test_a_run_folder_left_by_a_dead_stack_is_emptied(tmp_path):
    """After kill -9 the next start would fail on an old socket."""
    data_dir = tmp_path if len(str(tmp_path)) < 60 else tmp_path.parents[2]
    first = make_run_dir(data_dir)
    (first / "old.sock").touch()
    second = make_run_dir(data_dir)
    assert not (second / "old.sock").exists()
    remove_run_dir(data_dir)


def test_json_appears_whole(tmp_path):
    """Who waits for the ready file would read half of it."""
    path = tmp_path / "ready.json"
    write_json_atomically(path, {"pid": 1})
    write_json_atomically(path, {"pid": 2})
    assert json.loads(path.read_text()) == {"pid": 2}
    assert os.listdir(tmp_path) == ["ready.json"]


@pytest.mark.parametrize("text", ["nope", "a:b", ":", "1:2:3", "h:70000", "h:-1"])
def test_bad_addresses_are_refused(text):
    """A typo would listen somewhere else."""
    with pytest.raises(ConfigError, match="is not an address"):
        parse_host_port(text)


def test_a_taken_port_is_a_clear_error():
    """The operator would get a traceback."""
    with listen_tcp(parse_host_port("127.0.0.1:0")) as first:
        where = bound_address(first)
        with pytest.raises(ConfigError, match="cannot listen on"):
            listen_tcp(parse_host_port(where))
        with open_listener(f"fd:{os.dup(first.fileno())}") as inherited:
            assert bound_address(inherited) == where
