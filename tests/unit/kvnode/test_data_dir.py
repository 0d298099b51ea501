"""The data directory: made once, kept private, used by one."""

import stat

import pytest

from kvnode.data_dir import open_data_dir
from runtime.config_error import ConfigError


def test_identity_stays_and_secrets_are_private(tmp_path):
    """After a restart every credential would be refused, or anybody could read the secrets."""
    with open_data_dir(tmp_path / "d") as first:
        pass
    with open_data_dir(tmp_path / "d") as second:
        assert second == first
    for name in ("cluster.secret", "admin.token"):
        assert stat.S_IMODE((tmp_path / "d" / name).stat().st_mode) == 0o600


def test_one_node_for_each_store(tmp_path):
    """Two nodes with caches of their own over one store would lose each other's commits."""
    with open_data_dir(tmp_path), pytest.raises(ConfigError, match="another KV node"):
        open_data_dir(tmp_path).__enter__()
    with open_data_dir(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "text"),
    [("cluster.json", "{}"), ("cluster.json", '{"cluster_id": "ab"}'), ("admin.token", "short")],
)
def test_damage_is_named(tmp_path, name, text):
    """An operator would look for the fault everywhere but in the damaged file."""
    with open_data_dir(tmp_path):
        pass
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=name):
        open_data_dir(tmp_path).__enter__()
