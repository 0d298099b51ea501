"""runtime.config: sources, precedence, refusals."""

from dataclasses import dataclass, field

import pytest

from runtime.config import ConfigError, load_config


@dataclass(frozen=True, kw_only=True)
class Listen:
    port: int = 1
    host: str = "here"
    is_fast: bool = False

    def __post_init__(self):
        if self.port < 0:
            raise ConfigError("port must be >= 0")


@dataclass(frozen=True, kw_only=True)
class Config:
    listen: Listen = field(default_factory=Listen)


def test_flag_over_environment_over_file_over_default(tmp_path):
    """An operator's flag would be overruled by a forgotten file."""
    file = tmp_path / "c.toml"
    file.write_text('[listen]\nport = 2\nhost = "file"\n[other]\nx = 1\n')
    config = load_config(
        Config,
        file=file,
        environment={"INSULA_LISTEN__PORT": "3", "INSULA_LISTEN__IS_FAST": "true", "HOME": "x"},
        flags={"listen": {"port": 4, "host": None}},
        foreign_sections=["other"],
    )
    assert config.listen == Listen(port=4, host="file", is_fast=True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[listen]\nprot = 2", "did you mean 'port'"),
        ("[lissten]\n", "did you mean 'listen'"),
        ('[listen]\nport = "x"', r"listen\.port in .*toml"),
        ("[listen]\nport = -1", "port must be >= 0"),
        ("port = 1", "outside a section"),
        ("[listen", "cannot read"),
    ],
)
def test_mistakes_are_refused_with_a_hint(tmp_path, text, complaint):
    """A setting that is silently ignored is found out in production."""
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_config(Config, file=file)
